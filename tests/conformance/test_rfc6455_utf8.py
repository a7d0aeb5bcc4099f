"""RFC 6455, 8.1: text is UTF-8 (RFC 3629), judged at its first impossible byte, in whatever frames and TCP segments it comes."""

import pytest

from strict import BINARY, PING, PONG, TEXT, build_frame, cut, fragments, server_frame
from texts import INVALID, KOSME, MIXED, UNFINISHED, VALID, first_bad_byte, names, raw

FLAGS = ("--commands",)


def test_the_tables_themselves():
    assert all(first_bad_byte(data) is None for data in VALID)
    assert all(first_bad_byte(data) < len(data) for data in INVALID)
    assert all(first_bad_byte(data) == len(data) for data in UNFINISHED)
    assert [first_bad_byte(data) for data in (raw("eda080"), raw("f4908080"), raw("c0af"), raw("e080af"),
                                              raw("f18080f0"))] == [1, 1, 0, 1, 3]


def test_valid_texts_in_one_frame(peer):
    for data in VALID:
        peer.echo(TEXT, data)
    peer.bye()


def test_valid_texts_in_fragments_of_one_octet(peer):
    for data in VALID:
        peer.send(*fragments(TEXT, cut(data, 1)))
        peer.expect(server_frame(TEXT, data))
    peer.bye()


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_valid_text_in_chops_within_a_frame(peer, size):
    peer.chop(build_frame(TEXT, MIXED), size)
    peer.expect(server_frame(TEXT, MIXED))
    peer.bye()


@pytest.mark.parametrize("at", range(1, len(MIXED)))
def test_valid_text_in_two_fragments(peer, at):
    """Every cut, with a ping between: the unfinished character waits."""
    peer.send(build_frame(TEXT, MIXED[:at], fin=False), build_frame(PING, b"\xff"))
    peer.expect(server_frame(PONG, b"\xff"))
    peer.send(build_frame(0x0, MIXED[at:]))
    peer.expect(server_frame(TEXT, MIXED))
    peer.bye()


@pytest.mark.parametrize("data", INVALID + UNFINISHED, ids=names)
def test_invalid_text_in_one_frame(peer, data):
    peer.send(build_frame(TEXT, data), build_frame(PING))
    peer.fails(1007, "invalid_text")


@pytest.mark.parametrize("data", INVALID, ids=names)
def test_fails_at_the_bad_byte_of_a_later_fragment(peer, data):
    """All before the bad byte is accepted (the pong proves it); that byte alone, in a frame that goes on, ends it."""
    bad = first_bad_byte(data)
    peer.send(build_frame(TEXT, data[:bad], fin=False))
    peer.alive()
    peer.send(build_frame(0x0, data[bad:bad + 1], declared_length=1000))
    peer.fails(1007, "invalid_text")


@pytest.mark.parametrize("data", UNFINISHED, ids=names)
@pytest.mark.parametrize("last", ["empty", "of one octet"])
def test_unfinished_character_at_the_end(peer, data, last):
    """Good until the final frame has come, which an empty one may be."""
    kept = data if last == "empty" else data[:-1]
    peer.send(build_frame(TEXT, kept, fin=False))
    peer.alive()
    peer.send(build_frame(0x0, data[len(kept):]))
    peer.fails(1007, "invalid_text")


@pytest.mark.parametrize("data",
                         [KOSME + raw("f4908080") + b"edited", KOSME + raw("eda080") + b"edited",
                          b"a" * 100 + raw("c0") + b"a" * 100],
                         ids=names)
def test_fails_at_the_bad_byte_within_one_frame(peer, data):
    """Three writes of one frame: nothing happens before the bad byte is sent, everything at it."""
    bad = first_bad_byte(data)
    frame = build_frame(TEXT, data)
    at = len(frame) - len(data) + bad
    peer.send(frame[:at])
    peer.quiet()
    peer.send(frame[at:at + 1])
    peer.fails(1007, "invalid_text")


def test_fails_within_a_large_frame_that_never_ends(peer):
    """One bad byte in the first 100 kB of an announced megabyte."""
    data = b"a" * 99999 + b"\xff"
    peer.send(build_frame(TEXT, data, declared_length=1 << 20))
    peer.fails(1007, "invalid_text")


@pytest.mark.parametrize("size", [1, 7])
def test_invalid_text_in_fragments(peer, size):
    peer.send(*fragments(TEXT, cut(KOSME + raw("eda080") + b"edited", size)))
    peer.fails(1007, "invalid_text")


def test_binary_may_be_anything(peer):
    for data in INVALID + UNFINISHED:
        peer.echo(BINARY, data)
        peer.send(*fragments(BINARY, cut(data, 5)))
        peer.expect(server_frame(BINARY, data))
    peer.bye()


def test_state_does_not_leak_into_the_next_message(peer):
    """A binary message that ends in half a character says nothing about the text after it."""
    peer.echo(BINARY, raw("e282"))
    peer.echo(TEXT, b"plain")
    peer.send(build_frame(TEXT, raw("ac")))
    peer.fails(1007, "invalid_text")
