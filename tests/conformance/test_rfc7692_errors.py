"""RFC 7692: corrupt data, RSV1 in wrong places, text that is none, and messages that grow beyond the limit when inflated."""

import os
import zlib

import pytest

from deflated import BINARY, RSV1, TAIL, TEXT, Deflated, build_frame, cut, fragments, server_frame
from strict import CLOSE, PING, PONG

LIMIT = 100000
FLAGS = ("--deflate", "--max-message-bytes", str(LIMIT))
KINDS = ("plain", "tls")
NAME = "permessage-deflate"
HELLO = bytes.fromhex("f248cdc9c90700")


@pytest.fixture
def peer(open_peer):
    return open_peer(extensions=NAME)


@pytest.fixture
def deflated(peer):
    return Deflated(peer)


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_rsv1_on_a_control_frame(peer, opcode):
    peer.send(build_frame(opcode, b"\x03\xe8", rsv=RSV1))
    peer.fails(1002)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("fin", [True, False])
def test_rsv1_on_a_continuation(peer, compressed, fin):
    peer.send(build_frame(BINARY, HELLO[:3], fin=False, rsv=RSV1 if compressed else 0),
              build_frame(0x0, HELLO[3:], fin=fin, rsv=RSV1))
    peer.fails(1002)


@pytest.mark.parametrize("rsv", [1, 2, 3, 5, 6, 7])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_the_other_reserved_bits(peer, opcode, rsv):
    peer.send(build_frame(opcode, HELLO, rsv=rsv))
    peer.fails(1002)


@pytest.mark.parametrize("data",
                         ["06", "07", "ffffffff", "000500faee48656c6c6f00", "deadbeefdeadbeef", "f200110000", "f248cd",
                          "0005"],
                         ids=["block type 3", "final block type 3", "ones", "stored length wrong", "nonsense",
                              "reference to nothing",
                              "truncated", "half a stored block"])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_corrupt_data(peer, opcode, data):
    peer.send(build_frame(opcode, bytes.fromhex(data), rsv=RSV1))
    peer.fails(1007, "protocol_error")


def test_corrupt_data_after_good_messages(deflated):
    deflated.echo(BINARY, os.urandom(5000))
    deflated.peer.send(build_frame(BINARY, b"\x07\x07\x07\x07", rsv=RSV1))
    deflated.peer.fails(1007, "protocol_error")


def test_corrupt_data_in_a_fragment_that_is_not_the_last(deflated):
    """Judged as it comes, not at the message's end."""
    deflated.peer.send(build_frame(BINARY, HELLO[:-1], fin=False, rsv=RSV1))
    deflated.peer.alive()
    deflated.peer.send(build_frame(0x0, b"\xff" * 64, fin=False))
    deflated.peer.fails(1007, "protocol_error")


@pytest.mark.parametrize("text", [b"\xff", b"ok \xed\xa0\x80 no", b"x" * 50000 + b"\xc0", "grüße".encode()[:-2]], ids=len)
@pytest.mark.parametrize("fragment", [0, 3])
def test_text_is_judged_after_inflation(deflated, text, fragment):
    deflated.send(TEXT, text, fragment)
    deflated.peer.fails(1007, "invalid_text")


def test_compressed_text_fails_at_its_bad_byte(deflated):
    """The first fragment inflates to something that no text begins with; nothing more is needed."""
    data = zlib.compressobj(0, zlib.DEFLATED, -15)
    first = data.compress(b"fine \xff") + data.flush(zlib.Z_FULL_FLUSH)
    deflated.peer.send(build_frame(TEXT, first, fin=False, rsv=RSV1))
    deflated.peer.fails(1007, "invalid_text")


def test_binary_needs_no_text(deflated):
    deflated.echo(BINARY, b"\xff\xfe\xed\xa0\x80" * 100)
    deflated.peer.bye()


@pytest.mark.parametrize("fragment", [0, 1, 10])
def test_inflated_size_at_the_limit(deflated, fragment):
    deflated.echo(BINARY, bytes(LIMIT), fragment)
    deflated.echo(BINARY, bytes(LIMIT), fragment)
    deflated.peer.bye()


@pytest.mark.parametrize("fragment", [0, 1000])
def test_incompressible_message_at_the_limit(deflated, fragment):
    """On the wire it is longer than the limit, which is about messages."""
    payload = os.urandom(LIMIT)
    assert deflated.echo(BINARY, payload, fragment) > LIMIT
    deflated.peer.bye()


@pytest.mark.parametrize("fragment", [0, 1, 10])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_inflated_size_beyond_the_limit(deflated, opcode, fragment):
    deflated.send(opcode, b"x" * (LIMIT + 1), fragment)
    deflated.peer.fails(1009, "message_too_big")


def test_bomb(deflated, server):
    """100 MB in 100 kB: refused, and the memory was never taken."""
    data = deflated.compress(bytes(100_000_000), level=9)
    assert len(data) < LIMIT
    before = server.resident_kib()
    deflated.peer.send(build_frame(BINARY, data, rsv=RSV1))
    deflated.peer.fails(1009, "message_too_big")
    assert server.resident_kib() - before < 8192


def test_bomb_in_fragments_is_refused_before_its_end(deflated):
    data = deflated.compress(bytes(10_000_000), level=9)
    deflated.peer.send(*fragments(BINARY, cut(data, 1000), rsv=RSV1)[:-1])
    deflated.peer.fails(1009, "message_too_big")


def test_compressed_frame_longer_than_the_limit(peer):
    """Its head alone is too much, whatever it would inflate to."""
    peer.send(build_frame(BINARY, b"", declared_length=1 << 30, rsv=RSV1))
    peer.fails(1009, "message_too_big")


def test_window_larger_than_agreed(open_peer):
    """The second message refers 20,000 bytes back where the client's window is 512: the server has not kept them."""
    peer = open_peer(extensions=NAME + "; client_max_window_bits=9")
    payload, deflated = os.urandom(20000), Deflated(peer)
    peer.send(build_frame(BINARY, deflated.compress(payload, bits=15), rsv=RSV1))
    assert deflated.receive()[1] == payload
    peer.send(build_frame(BINARY, deflated.compress(payload), rsv=RSV1))
    peer.fails(1007, "protocol_error")


def test_message_with_its_tail(deflated):
    """A client that left 00 00 FF FF on: with the one that is supplied that is no deflate data any more (7.2.2)."""
    deflated.peer.send(build_frame(BINARY, HELLO + TAIL, rsv=RSV1))
    deflated.peer.fails(1007, "protocol_error")


def test_message_of_several_flushes(deflated):
    """With the byte that begins another empty block it is legal, and says the same."""
    deflated.peer.send(build_frame(BINARY, HELLO + TAIL + b"\x00" + TAIL + b"\x00", rsv=RSV1))
    deflated.peer.expect(server_frame(BINARY, b"Hello"))
    deflated.peer.bye()


def test_close_within_a_compressed_message(deflated):
    deflated.peer.send(build_frame(TEXT, HELLO[:4], fin=False, rsv=RSV1))
    deflated.peer.bye()
