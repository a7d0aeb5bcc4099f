"""RFC 6455, 8.1: text is UTF-8 (RFC 3629), judged at its first impossible byte, in whatever frames and TCP segments it comes."""

import pytest

from strict import BINARY, PING, PONG, TEXT, build_frame, cut, first_bad_byte, fragments, server_frame

FLAGS = ("--commands",)
KOSME = "κ\u1f79σμε".encode()  # two, three, two, two and two bytes
MIXED = "Hello-µ@ßöäüàá-UTF-8!! 漢字 \U0001f600".encode()


def raw(text):
    return bytes.fromhex(text)


def boundary_characters():
    """The first and last character of each length and of the gap that surrogates leave, and the non-characters, which are legal."""
    points = [0x0, 0x7F, 0x80, 0x7FF, 0x800, 0xFFF, 0x1000, 0xCFFF, 0xD000, 0xD7FF, 0xE000, 0xFDD0, 0xFDEF, 0xFEFF, 0xFFFD,
              0x10000,
              0x3FFFF, 0x40000, 0xFFFFF, 0x100000]
    points += [plane << 16 | low for plane in range(17) for low in (0xFFFE, 0xFFFF)]
    return [chr(point).encode() for point in points]


VALID = boundary_characters() + [KOSME, MIXED, b"hello$world", "hello¢world".encode(), "hello€world".encode(),
                                 "hello\U00024b62world".encode(), "".join(map(chr, range(0x80, 0x800))).encode()]

# Bytes that stand in no text.
IMPOSSIBLE = [bytes([byte]) for byte in (0xC0, 0xC1, *range(0xF5, 0x100))] + [raw("fefeffff")]
LONELY_CONTINUATIONS = [raw("80"), raw("bf"), raw("80bf"), raw("80bf80"), raw("80bf80bf80bf"), bytes(range(0x80, 0xC0))]
LONELY_STARTS = [bytes([byte]) + b" " for byte in range(0xC2, 0xF5)]
OVERLONG = [raw(text) for text in ("c0af", "c080", "c1bf", "e080af", "e08080", "e09fbf", "f08080af", "f0808080", "f08fbfbf",
                                   "f8808080af", "f880808080", "f887bfbfbf", "fc80808080af", "fc8080808080", "fc83bfbfbfbf")]
SURROGATES = [raw(text) for text in ("eda080", "edadbf", "edae80", "edafbf", "edb080", "edbe80", "edbfbf", "eda080edb080",
                                     "eda080edbfbf", "edadbfedb080", "edadbfedbfbf", "edae80edb080", "edafbfedbfbf")]
TOO_FAR = [raw(text) for text in ("f4908080", "f4bfbfbf", "f5808080", "f7bfbfbf", "f888808080", "fbbfbfbfbf", "fc8480808080",
                                  "fdbfbfbfbfbf")]
WRONG_SECOND = [raw(text) for text in ("c27f", "c2c0", "dfe0", "e17f80", "e1c080", "ec80ff", "f18041", "f180c0", "f18080f0",
                                       "f4807f80")]
IN_CONTEXT = [KOSME + raw("eda080") + b"edited", KOSME + raw("f4908080") + b"edited", b"a" * 4096 + raw("ff") + b"a" * 4096,
              b"a" * 15 + raw("80") + b"a" * 16, KOSME * 1000 + raw("c0")]
INVALID = (IMPOSSIBLE + LONELY_CONTINUATIONS + LONELY_STARTS + OVERLONG + SURROGATES + TOO_FAR + WRONG_SECOND + IN_CONTEXT)

# Nothing wrong but their end.
UNFINISHED = [raw(text) for text in ("c2", "df", "e0a0", "ebbf", "ed9f", "efbf", "f0", "f090", "f09080", "f1bfbf", "f48fbf")]
UNFINISHED += [KOSME[:end] for end in (1, 3, 4, 6, 8, 10)] + [b"a" * 70000 + raw("e282")]


def names(data):
    return f"{data[:8].hex()}.{len(data)}"


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
