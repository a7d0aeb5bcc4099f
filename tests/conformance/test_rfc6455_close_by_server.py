"""RFC 6455, 7: the server closes first, by command, by stopping, without an answer, and without a Close."""

import signal

import pytest

from strict import BINARY, CLOSE, PING, TEXT, Peer, build_frame, close_payload, server_close, server_frame, within

FLAGS = ("--commands", "--close-timeout-ms", "400")
KINDS = ("plain", "tls")
CODES = [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999]


def command_close(peer, code=1000, reason="bye"):
    """/close, and its Close on the wire."""
    peer.send_frame(TEXT, f"/close {code} {reason}".rstrip())
    peer.expect(server_close(code, reason))


@pytest.mark.parametrize("code", CODES)
def test_code_and_reason_on_the_wire_and_answered(peer, code):
    command_close(peer, code, "so long")
    peer.client.send_close(code, "and thanks")
    peer.expect_end(b"")
    peer.closed(code=code, reason="and thanks", code_sent=code, clean=True, initiator="local", cause="local_close")


@pytest.mark.parametrize("code,reason", [(1000, ""), (4000, "κόσμε"), (4001, "x" * 123)])
def test_reasons_on_the_wire(peer, code, reason):
    command_close(peer, code, reason)
    peer.client.send_close(code)
    peer.expect_end(b"")
    peer.closed(code=code, reason="", code_sent=code, clean=True, initiator="local", cause="local_close")


@pytest.mark.parametrize("answer,reason", [(1000, ""), (1001, "other"), (4999, "mine"), (None, "")])
def test_their_code_may_differ(peer, answer, reason):
    command_close(peer, 4002, "ours")
    peer.client.send_close(answer, reason)
    peer.expect_end(b"")
    peer.closed(code=answer or 1005, reason=reason, code_sent=4002, clean=True, initiator="local", cause="local_close")


def test_no_answer(peer):
    """TCP ends when the close timeout is over, not before."""
    command_close(peer)
    peer.quiet()
    peer.client.recv_all(3)
    peer.closed(code=1006, reason="", code_sent=1000, clean=False, initiator="local", cause="close_timeout")


def test_late_data_is_dropped_until_their_close(peer):
    """No echo, no pong after our Close (5.5.1: nothing more is sent), but their Close counts."""
    command_close(peer)
    peer.send(build_frame(TEXT, b"late"), build_frame(PING, b"late"), build_frame(BINARY, b"x" * 100000),
              build_frame(TEXT, b"half", fin=False))
    peer.client.send_close(1001, "now")
    peer.expect_end(b"")
    peer.closed(code=1001, reason="now", code_sent=1000, clean=True, initiator="local", cause="local_close")


def test_late_text_is_not_judged(peer):
    """Dropped data need not be text."""
    command_close(peer)
    peer.send(build_frame(TEXT, b"\xff\xfe"))
    peer.client.send_close(1000)
    peer.expect_end(b"")
    peer.closed(code=1000, reason="", code_sent=1000, clean=True, initiator="local", cause="local_close")


def test_queue_drains_before_our_close(peer):
    """Close comes behind what was queued before it."""
    peer.send(build_frame(TEXT, b"/flood 50 20000"), build_frame(TEXT, b"/close 1000 done"))
    for _ in range(50):
        frame = peer.client.recv_frame()
        assert (frame.opcode, len(frame.payload)) == (BINARY, 20000)
    peer.expect(server_close(1000, "done"))
    peer.client.send_close(1000, "done")
    peer.expect_end(b"")
    peer.closed(code=1000, reason="done", code_sent=1000, clean=True, initiator="local", cause="local_close")


def test_abort(peer):
    """No Close frame, a reset."""
    peer.send_frame(TEXT, "/abort")
    assert peer.client.recv_end() == "reset"
    peer.closed(code=1006, reason="", code_sent=0, clean=False, initiator="local", cause="local_close")


@pytest.mark.parametrize("violation",
                         [build_frame(3), build_frame(TEXT, b"x", mask=None), build_frame(PING, rsv=4)],
                         ids=["opcode", "unmasked", "reserved bits"])
def test_violation_instead_of_an_answer(peer, violation):
    """We have sent our only Close already; TCP ends without a second one, and soon."""
    command_close(peer)
    with within(2):
        peer.send(violation)
        data, _ = peer.client.recv_all()
    assert data == b""
    peer.closed(code=1006, reason="", code_sent=1000, clean=False, initiator="local", cause="local_close")


@pytest.mark.parametrize("payload", [b"\x00", close_payload(999), close_payload(1005, "x"), close_payload(1000, b"\xff")],
                         ids=["one byte", "code 999", "code 1005", "not UTF-8"])
def test_malformed_answer(peer, payload):
    """It is their Close all the same: both were seen, and what cannot be believed of it is not told."""
    command_close(peer)
    peer.send_frame(CLOSE, payload)
    peer.expect_end(b"")
    code = 1000 if payload.startswith(b"\x03\xe8") else 1005
    peer.closed(code=code, reason="", code_sent=1000, clean=True, initiator="local", cause="local_close")


def test_stop(start_server):
    """SIGTERM: 1001 for everyone, answers counted clean, silence aborted at the deadline."""
    server = start_server("--stop-deadline-ms", "700")
    answering, silent = Peer(server), Peer(server)
    server.send_signal(signal.SIGTERM)
    for peer in (answering, silent):
        peer.expect(server_close(1001, "server is closing"))
    answering.client.send_close(1001, "seen")
    answering.expect_end(b"")
    answering.closed(code=1001, reason="seen", code_sent=1001, clean=True, initiator="local", cause="server_stop")
    assert server.wait() == 0
    silent.closed(code=1006, reason="", code_sent=1001, clean=False, initiator="local", cause="server_stop")
    stopped = server.wait_event("stopped")
    assert (stopped["clean"], stopped["aborted"]) == (1, 1)
    silent.client.close()


def test_heartbeat_timeout(start_server):
    """A ping that nothing answers: a Close 1011 for whoever may still read, and the end is 1006 by the heartbeat."""
    peer = Peer(start_server("--heartbeat-ms", "200", "--heartbeat-timeout-ms", "100"))
    frame = peer.client.recv_frame()
    assert (frame.opcode, len(frame.payload)) == (PING, 8)
    peer.expect_end(server_close(1011, "heartbeat timeout"))
    peer.closed(code=1006, reason="", code_sent=1011, clean=False, initiator="local", cause="heartbeat_timeout")


def test_authentication_timeout(start_server):
    peer = Peer(start_server("--auth-timeout-ms", "200", "--close-timeout-ms", "3000"))
    frame = peer.client.recv_frame()
    assert frame.opcode == CLOSE and frame.close[0] == 1008
    peer.client.send_close(1008)
    peer.expect_end(b"")
    peer.closed(code=1008, reason="", code_sent=1008, clean=True, initiator="local", cause="auth_timeout")


def test_echo_goes_on_until_the_close(peer):
    peer.echo(TEXT, b"before")
    peer.send(build_frame(TEXT, b"last"), build_frame(TEXT, b"/close 1000 bye"))
    peer.expect(server_frame(TEXT, b"last"), server_close(1000, "bye"))
    peer.client.send_close(1000)
    peer.expect_end(b"")
    peer.closed(code=1000, reason="", code_sent=1000, clean=True, initiator="local", cause="local_close")
