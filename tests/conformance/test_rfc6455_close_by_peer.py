"""RFC 6455, 5.5.1 and 7: the peer closes first, with every code, payload and timing; an end without Close; what comes after a violation."""

import socket

import pytest
from wsraw import ConnectionEnded

from strict import (BINARY, CLOSE, PING, PONG, TEXT, build_frame, close_payload, fragments, server_close, server_frame, within)

FLAGS = ("--commands", "--close-timeout-ms", "5000")
KINDS = ("plain", "tls")
VALID_CODES = [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3001, 3999, 4000, 4001, 4999]
INVALID_CODES = [0, 1, 100, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 9999, 32768, 65535]
REASONS = ["bye", "x" * 122, "x" * 123, "é" * 61, "κόσμε \U0001f44b", "\x00", "a\"b\\c\n\u2028"]


@pytest.mark.parametrize("code", VALID_CODES)
def test_valid_code_is_answered(peer, code):
    peer.bye(code, "")


@pytest.mark.parametrize("reason", REASONS, ids=len)
def test_reason_arrives(peer, reason):
    peer.bye(4321, reason)


def test_close_without_a_code(peer):
    peer.client.send_close()
    peer.answered(None)


def test_close_octet_by_octet(peer):
    peer.chop(build_frame(CLOSE, close_payload(1001, "slowly")))
    peer.answered(1001, "slowly")


@pytest.mark.parametrize("code", INVALID_CODES)
@pytest.mark.parametrize("reason", ["", "why not"])
def test_invalid_code(peer, code, reason):
    peer.client.send_close(code, reason)
    peer.fails(1002)


@pytest.mark.parametrize("byte", [b"\x00", b"\x03", b"a"])
def test_close_of_one_byte(peer, byte):
    peer.send_frame(CLOSE, byte)
    peer.fails(1002)


@pytest.mark.parametrize("size", [124, 125, 1000])
def test_reason_too_long(peer, size):
    peer.client.send_close(1000, "*" * size)
    peer.fails(1002)


@pytest.mark.parametrize("reason", ["ff", "eda080", "c0af", "f4908080", "cebae1bdb9cf83cebcceb5eda080656469746564", "61e282"])
def test_reason_not_utf8(peer, reason):
    peer.client.send_close(1000, bytes.fromhex(reason))
    peer.fails(1007, "invalid_text")


def test_message_then_close(peer):
    peer.echo(TEXT, b"Hello World!")
    peer.bye()


def after_close():
    yield "second close", build_frame(CLOSE, close_payload(1001, "again"))
    yield "empty close", build_frame(CLOSE)
    yield "ping", build_frame(PING, b"late")
    yield "text", build_frame(TEXT, b"late")
    yield "rest of a message", build_frame(0x0, b"late")
    yield "violation", build_frame(7, b"late", rsv=7)
    yield "unmasked", build_frame(TEXT, b"late", mask=None)
    yield "noise", b"\xff" * 1000
    yield "megabytes", build_frame(BINARY, b"late" * (1 << 20))


@pytest.mark.parametrize("late", [late for _, late in after_close()], ids=[name for name, _ in after_close()])
@pytest.mark.parametrize("at_once", [True, False], ids=["same write", "later write"])
def test_nothing_counts_after_a_close(peer, late, at_once):
    if at_once:
        peer.send(build_frame(CLOSE, close_payload(1000, "first")), late)
    else:
        peer.client.send_close(1000, "first")
        try:
            peer.send(late)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it ended meanwhile, as it may
    peer.answered(1000, "first")


def test_unfinished_message_then_close(peer):
    peer.send(build_frame(TEXT, b"fragment1", fin=False))
    peer.client.send_close(1000, "bye")
    peer.answered(1000, "bye")


def test_large_messages_then_close_then_ping(peer):
    """Echoes may come or not, but whole, in order, and before the one Close."""
    large = b"BAsd7&jh23" * 26214
    peer.send(build_frame(TEXT, large), build_frame(TEXT, b"Hello World!"), build_frame(CLOSE, close_payload(1000)),
              build_frame(PING))
    got, how = peer.client.recv_all()
    echoes = [server_frame(TEXT, large), server_frame(TEXT, b"Hello World!")]
    assert how == "fin"
    assert got in [b"".join(echoes[:count]) + server_close(1000) for count in range(3)]
    peer.closed(code=1000, reason="", code_sent=1000, clean=True, initiator="remote", cause="peer_close")


@pytest.mark.parametrize("receive_buffer", [None, 8192])
def test_close_under_a_flood(open_peer, receive_buffer):
    """The frame on the wire is finished, what was queued behind it is dropped, our code and reason arrive."""
    peer = open_peer(receive_buffer=receive_buffer)
    peer.send_frame(TEXT, "/flood 10000 10000")
    for _ in range(20):
        frame = peer.client.recv_frame()
        assert (frame.opcode, len(frame.payload)) == (BINARY, 10000)
    peer.client.send_close(3456, "enough of it")
    frames = 0
    frame = peer.client.recv_frame()
    while frame.opcode == BINARY:
        assert len(frame.payload) == 10000
        frames += 1
        frame = peer.client.recv_frame()
    assert (frame.opcode, frame.payload) == (CLOSE, close_payload(3456))
    assert frames < 9000
    assert peer.client.recv_end() == "fin"
    peer.closed(code=3456, reason="enough of it", code_sent=3456, clean=True, initiator="remote", cause="peer_close")


def test_close_and_fin_at_once(peer):
    """Half-closed behind our Close: the answer still comes."""
    peer.client.send_close(1000, "and out")
    peer.client.shutdown_write()
    peer.answered(1000, "and out")


def test_fin_without_close(peer):
    peer.alive()
    peer.client.shutdown_write()
    peer.closed(code=1006, reason="", code_sent=0, clean=False, initiator="network", cause="network_error")
    with pytest.raises(ConnectionEnded):
        peer.client.recv_frame()


def test_fin_within_a_frame(peer):
    peer.send(build_frame(TEXT, b"half", declared_length=100))
    peer.client.shutdown_write()
    peer.closed(code=1006, reason="", code_sent=0, clean=False, initiator="network", cause="network_error")


def test_reset(peer):
    peer.alive()
    peer.client.abort()
    peer.closed(code=1006, reason="", code_sent=0, clean=False, initiator="network", cause="network_error")


VIOLATIONS = {
    "reserved bits": (build_frame(TEXT, b"x", rsv=2), 1002, "protocol_error"),
    "opcode": (build_frame(0xB), 1002, "protocol_error"),
    "unmasked": (build_frame(TEXT, b"x", mask=None), 1002, "protocol_error"),
    "utf-8": (build_frame(TEXT, b"\xff"), 1007, "invalid_text"),
    "too big": (build_frame(BINARY, b"", declared_length=1 << 21), 1009, "message_too_big"),
    "close code": (build_frame(CLOSE, close_payload(1005)), 1002, "protocol_error"),
}


@pytest.mark.parametrize("frame,code,cause", VIOLATIONS.values(), ids=list(VIOLATIONS))
class TestAfterAViolation:
    def test_fin_comes_at_once_and_the_event_without_us(self, start_server, open_peer, frame, code, cause):
        """We neither answer nor end TCP: FIN at once, and the wait for ours is bounded by the close timeout."""
        peer = open_peer(on=start_server("--close-timeout-ms", "300"))
        with within(2):
            peer.send(frame)
            peer.close_then_fin(code)
            peer.failed(code, cause)

    def test_an_answer_changes_nothing(self, peer, frame, code, cause):
        peer.send(frame)
        peer.close_then_fin(code)
        peer.client.send_close(code)
        peer.client.close()
        peer.failed(code, cause)

    def test_more_data_behind_it(self, peer, frame, code, cause):
        """What was on its way is read and dropped, so that no reset overtakes the Close."""
        peer.send(frame, *(build_frame(BINARY, b"x" * 65536) + build_frame(PING) for _ in range(20)))
        peer.fails(code, cause)

    def test_within_an_unfinished_message(self, peer, frame, code, cause):
        """The same inside a message, and nothing of the message comes back."""
        if frame[0] & 0x0F in (TEXT, BINARY) and cause != "protocol_error":
            frame = bytes([frame[0] & 0xF0]) + frame[1:]
            first = TEXT if cause == "invalid_text" else BINARY
        else:
            first = TEXT
        peer.send(build_frame(first, b"begin", fin=False), frame, build_frame(0x0, b"end"))
        peer.fails(code, cause)


def test_endless_data_after_a_violation_is_not_read_for_ever(start_server, open_peer):
    """A peer that goes on sending is cut off when the close timeout is over."""
    peer = open_peer(on=start_server("--close-timeout-ms", "300"))
    peer.send(build_frame(3))
    peer.client.sock.settimeout(0.05)
    with within(5), pytest.raises((BrokenPipeError, ConnectionResetError)):
        while True:
            try:
                peer.client.sock.send(b"\x00" * 65536)
            except socket.timeout:
                pass
    peer.failed(1002, "protocol_error")


def test_pong_for_a_ping_before_the_close(peer):
    """Both in one write: the pong is queued first and a control frame, so it leaves first."""
    peer.send(build_frame(PING, b"before"), build_frame(CLOSE, close_payload(1000)))
    peer.answered(1000, before=server_frame(PONG, b"before"))


def test_fragments_of_text_then_half_a_character_then_close(peer):
    """An unfinished message is not judged by its end."""
    peer.send(*fragments(TEXT, [b"begin \xe2\x82", b""])[:1])
    peer.bye()
