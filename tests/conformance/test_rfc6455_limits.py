"""What the server's own limits do, at their exact boundaries: message size, fragments; judged from heads, before payloads."""

import os

import pytest

from strict import BINARY, PING, TEXT, Frame, build_frame, cut, fragments, server_frame

LIMIT = 10000
FLAGS = ("--commands", "--max-message-bytes", str(LIMIT))
KINDS = ("plain", "tls")


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT])
def test_up_to_the_limit(peer, opcode, size):
    peer.echo(opcode, b"x" * size)
    peer.bye()


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT * 2, 65536, 1 << 40])
def test_beyond_the_limit_by_the_head_alone(peer, opcode, size):
    peer.send(build_frame(opcode, b"", declared_length=size))
    peer.fails(1009, "message_too_big")


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_beyond_the_limit_with_all_of_its_payload(peer, opcode):
    peer.send(build_frame(opcode, b"x" * (LIMIT + 1)), build_frame(PING))
    peer.fails(1009, "message_too_big")


@pytest.mark.parametrize("piece", [1, 999, 5000])
def test_fragments_up_to_the_limit(peer, piece):
    payload = os.urandom(LIMIT)
    peer.send(*fragments(BINARY, cut(payload, piece)), *fragments(BINARY, cut(payload, piece)))
    peer.expect(server_frame(BINARY, payload), server_frame(BINARY, payload))
    peer.bye()


@pytest.mark.parametrize("piece", [1, 999, 5000])
def test_fragments_beyond_the_limit(peer, piece):
    peer.send(*fragments(BINARY, cut(b"x" * (LIMIT + 1), piece)))
    peer.fails(1009, "message_too_big")


def test_the_fragment_that_goes_beyond_is_refused_by_its_head(peer):
    peer.send(build_frame(BINARY, b"x" * LIMIT, fin=False))
    peer.alive()
    peer.send(build_frame(0x0, b"", declared_length=1))
    peer.fails(1009, "message_too_big")


def test_empty_fragments_cost_nothing_of_the_limit(peer):
    peer.send(build_frame(BINARY, b"x" * LIMIT, fin=False), *(build_frame(0x0, fin=False) for _ in range(100)),
              build_frame(0x0))
    peer.expect(server_frame(BINARY, b"x" * LIMIT))
    peer.bye()


def test_limit_counts_each_message_anew(peer):
    for _ in range(5):
        peer.echo(BINARY, b"x" * LIMIT)
    peer.bye()


def test_as_many_fragments_as_allowed(peer):
    """65,536 frames, most of them empty."""
    peer.send(build_frame(BINARY, b"x", fin=False), build_frame(0x0, fin=False, mask=b"mask") * 65534, build_frame(0x0, b"z"))
    peer.expect(server_frame(BINARY, b"xz"))
    peer.bye()


def test_one_fragment_too_many(peer):
    """Refused at the head of frame 65,537 with 1008, whether it would be the last or not."""
    peer.send(build_frame(BINARY, b"x", fin=False), build_frame(0x0, fin=False, mask=b"mask") * 65535)
    peer.alive()
    peer.send(build_frame(0x0))
    peer.fails(1008, "message_too_big")


def test_control_frames_are_no_fragments(peer):
    pings = build_frame(PING, b"p") + build_frame(0x0, fin=False)
    peer.send(build_frame(BINARY, b"x", fin=False), pings * 1000, build_frame(0x0, b"z"))
    peer.expect_both([Frame(BINARY, b"xz")], [b"p"] * 1000)
    peer.bye()
