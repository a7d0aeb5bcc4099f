"""What RFC 6455 asks holds with compression agreed as well: text, fragments, masks, lengths, control frames, and every way to close."""

import zlib

import pytest

from deflated import BINARY, RSV1, TEXT, Deflated, Frame, build_frame, cut, fragments, server_frame
from strict import CLOSE, PING, PONG, close_payload, expect_both, server_close, within
from texts import INVALID, UNFINISHED, VALID, first_bad_byte, names

FLAGS = ("--deflate", "--commands", "--close-timeout-ms", "5000")
HELLO = bytes.fromhex("f248cdc9c90700")  # RFC 7692, 7.2.3.1
HALF, REST = HELLO[:4], HELLO[4:]


@pytest.fixture
def peer(open_peer):
    return open_peer(extensions="permessage-deflate; client_max_window_bits")


@pytest.fixture
def deflated(peer):
    return Deflated(peer)


# ------------------------------------------------------------------------------------------------------------------- text


def test_valid_texts(deflated):
    for data in VALID:
        deflated.echo(TEXT, data)
        deflated.echo(TEXT, data, fragment=1)
    deflated.peer.bye()


@pytest.mark.parametrize("fragment", [0, 1])
@pytest.mark.parametrize("data", INVALID + UNFINISHED, ids=names)
def test_invalid_text(deflated, data, fragment):
    deflated.send(TEXT, data, fragment)
    deflated.peer.send(build_frame(PING))
    deflated.peer.fails(1007, "invalid_text")


@pytest.mark.parametrize("data", INVALID[::7], ids=names)
def test_fails_at_the_bad_byte(deflated, data):
    """As a stored block in two fragments: the first ends before the bad byte, the second with it, and none is the last."""
    bad = first_bad_byte(data)
    raw = zlib.compressobj(0, zlib.DEFLATED, -15)
    block = (raw.compress(data) + raw.flush())[:5 + bad + 1]
    deflated.peer.send(build_frame(TEXT, block[:-1], fin=False, rsv=RSV1))
    deflated.peer.alive()
    deflated.peer.send(build_frame(0x0, block[-1:], fin=False))
    deflated.peer.fails(1007, "invalid_text")


def test_plain_text_is_judged_too(deflated):
    deflated.echo(TEXT, b"compressed")
    deflated.peer.send(build_frame(TEXT, b"\xc0"))
    deflated.peer.fails(1007, "invalid_text")


def test_binary_may_be_anything(deflated):
    for data in INVALID + UNFINISHED:
        deflated.echo(BINARY, data)
    deflated.peer.bye()


# --------------------------------------------------------------------------------------------------------------- violations

VIOLATIONS = {
    "continuation of nothing": [build_frame(0x0, HELLO)],
    "continuation after a whole message": [build_frame(TEXT, HELLO, rsv=RSV1), build_frame(0x0, HELLO)],
    "new compressed message inside a compressed one": [build_frame(TEXT, HALF, fin=False, rsv=RSV1), build_frame(TEXT, HELLO, rsv=RSV1)],
    "new plain message inside a compressed one": [build_frame(TEXT, HALF, fin=False, rsv=RSV1), build_frame(TEXT, b"Hello")],
    "new compressed message inside a plain one": [build_frame(TEXT, b"Hel", fin=False), build_frame(TEXT, HELLO, rsv=RSV1)],
    "fragmented ping inside a compressed message": [build_frame(TEXT, HALF, fin=False, rsv=RSV1), build_frame(PING, fin=False)],
    "long ping": [build_frame(PING, b"x" * 126)],
    "unmasked": [build_frame(TEXT, HELLO, rsv=RSV1, mask=None)],
    "unmasked continuation": [build_frame(TEXT, HALF, fin=False, rsv=RSV1), build_frame(0x0, REST, mask=None)],
    "length not minimal": [build_frame(TEXT, HELLO, rsv=RSV1, length_bytes=2)],
    "length of 64 bits": [build_frame(TEXT, b"", rsv=RSV1, length_bytes=8, declared_length=1 << 63)],
    "reserved opcode": [build_frame(0x3, HELLO, rsv=RSV1)],
    "reserved control opcode": [build_frame(0xB, rsv=RSV1)],
    "close code": [build_frame(CLOSE, close_payload(1006))],
    "close of one byte": [build_frame(CLOSE, b"\x03")],
}


@pytest.mark.parametrize("frames", VIOLATIONS.values(), ids=list(VIOLATIONS))
def test_violation(peer, frames):
    """A whole message that comes before it, if any, is still answered."""
    peer.send(*frames, build_frame(PING))
    whole = frames[0] if len(frames) == 2 and frames[0][0] == 0xC1 else b""
    peer.fails(1002, before=server_frame(TEXT, b"Hello") if whole else b"")


def test_close_reason_not_utf8(peer):
    peer.client.send_close(1000, b"\xff")
    peer.fails(1007, "invalid_text")


# ------------------------------------------------------------------------------------------------------------ control frames


def test_pings_between_compressed_fragments(deflated):
    data = deflated.compress(b"fragment " * 500)
    frames = fragments(TEXT, cut(data, 3), rsv=RSV1)
    deflated.peer.send(*(frame + build_frame(PING, b"ping%d" % n) for n, frame in enumerate(frames[:-1])), frames[-1])
    for n in range(len(frames) - 1):
        deflated.peer.expect(server_frame(PONG, b"ping%d" % n))
    assert deflated.receive()[:2] == (TEXT, b"fragment " * 500)
    deflated.peer.bye()


def test_messages_and_pings_in_one_write(deflated):
    frames = [build_frame(BINARY, deflated.compress(b"m%d" % n), rsv=RSV1) + build_frame(PING, b"p%d" % n) for n in range(500)]
    deflated.peer.send(*frames)
    expect_both(deflated.peer.client, [Frame(BINARY, b"m%d" % n) for n in range(500)], [b"p%d" % n for n in range(500)])
    deflated.peer.bye()


def test_pongs_pass_a_compressed_flood(deflated):
    count, size = 1500, 20000
    deflated.send(TEXT, b"/flood %d %d" % (count, size))
    deflated.peer.send(*(build_frame(PING, b"%d" % n) for n in range(10)))
    pongs, messages = [], 0
    while messages < count or len(pongs) < 10:
        frame = deflated.peer.client.recv_frame()
        if frame.opcode == PONG:
            pongs.append(frame)
        else:
            assert deflated.take(frame)[:2] == (BINARY, b"f" * size)
            messages += 1
    assert pongs == [Frame(PONG, b"%d" % n) for n in range(10)]
    deflated.peer.bye()


# -------------------------------------------------------------------------------------------------------------------- close


@pytest.mark.parametrize("code", [1000, 1001, 1007, 1010, 1014, 3000, 4999, None])
def test_they_close(deflated, code):
    deflated.echo(TEXT, b"before " * 100)
    deflated.peer.client.send_close(code)
    deflated.peer.answered(code)


def test_they_close_under_a_compressed_flood(deflated):
    deflated.send(TEXT, b"/flood 100000 20000")
    for _ in range(20):
        assert deflated.receive()[:2] == (BINARY, b"f" * 20000)
    deflated.peer.client.send_close(3456, "enough of it")
    while (frame := deflated.peer.client.recv_frame()).opcode == BINARY:
        assert deflated.take(frame)[:2] == (BINARY, b"f" * 20000)
    assert frame == Frame(CLOSE, close_payload(3456))
    assert deflated.peer.client.recv_end() == "fin"
    deflated.peer.closed(code=3456, reason="enough of it", code_sent=3456, clean=True, initiator="remote", cause="peer_close")


def test_we_close_behind_compressed_messages(deflated):
    deflated.send(TEXT, b"/flood 50 20000")
    deflated.send(TEXT, b"/close 4000 done")
    for _ in range(50):
        assert deflated.receive()[:2] == (BINARY, b"f" * 20000)
    deflated.peer.expect(server_close(4000, "done"))
    deflated.peer.client.send_close(4001, "too")
    deflated.peer.expect_end(b"")
    deflated.peer.closed(code=4001, reason="too", code_sent=4000, clean=True, initiator="local", cause="local_close")


@pytest.mark.parametrize("late", [b"\xff" * 100, HELLO], ids=["corrupt", "whole"])
def test_late_compressed_data_is_dropped_until_their_close(deflated, late):
    """After our Close it is not even inflated."""
    deflated.send(TEXT, b"/close 1000 bye")
    deflated.peer.expect(server_close(1000, "bye"))
    deflated.peer.send(build_frame(TEXT, late, rsv=RSV1), build_frame(BINARY, late[:2], fin=False, rsv=RSV1))
    deflated.peer.client.send_close(1001, "now")
    deflated.peer.expect_end(b"")
    deflated.peer.closed(code=1001, reason="now", code_sent=1000, clean=True, initiator="local", cause="local_close")


def test_fin_within_a_compressed_message(peer):
    peer.send(build_frame(TEXT, HALF, fin=False, rsv=RSV1))
    peer.client.shutdown_write()
    peer.closed(code=1006, reason="", code_sent=0, clean=False, initiator="network", cause="network_error")


def test_fin_after_corrupt_data_comes_at_once(peer):
    with within(2):
        peer.send(build_frame(TEXT, b"\xff" * 10, rsv=RSV1))
        peer.close_then_fin(1007)
    peer.client.close()
    peer.failed(1007, "protocol_error")
