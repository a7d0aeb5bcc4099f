"""RFC 6455, 7: Closes that cross, Closes behind a queue, readers that are slow or have stopped, and connections that were not being read."""

import signal
import time

import pytest

from strict import BINARY, CLOSE, PING, PONG, TEXT, Frame, Peer, build_frame, close_payload, server_close, server_frame, within

FLAGS = ("--commands", "--close-timeout-ms", "500", "--max-queue-bytes", "33554432")
KINDS = ("plain", "tls")
CHUNK = 100000
FLOOD = 250  # 25 MB: more than the kernel holds for a reader that does not read
SMALL = {"receive_buffer": 8192}


def flood_and_close(peer, code=4003, reason="ours"):
    peer.send(build_frame(TEXT, b"/flood %d %d" % (FLOOD, CHUNK)), build_frame(TEXT, f"/close {code} {reason}"))


def test_their_close_passes_ours_in_the_queue(open_peer):
    """Ours has not left, so they are first: what is queued goes, their code is answered."""
    peer = open_peer(**SMALL)
    flood_and_close(peer)
    assert peer.client.recv_frame() == Frame(BINARY, b"f" * CHUNK)
    peer.client.send_close(4004, "theirs")
    frames = 1
    while (frame := peer.client.recv_frame()).opcode == BINARY:
        assert frame == Frame(BINARY, b"f" * CHUNK)
        frames += 1
    assert frame == Frame(CLOSE, close_payload(4004))
    assert frames < FLOOD
    assert peer.client.recv_end() == "fin"
    peer.closed(code=4004, reason="theirs", code_sent=4004, clean=True, initiator="remote", cause="peer_close")


def test_both_in_one_write(peer):
    """The command that makes us close, and their Close behind it: ours has not left when theirs is read."""
    peer.send(build_frame(TEXT, b"/close 4003 ours"), build_frame(CLOSE, close_payload(4004, "theirs")))
    peer.answered(4004, "theirs")


def test_close_behind_a_queue_that_nobody_reads(open_peer):
    """The time runs from the last byte that left; a Close that still waits then was not sent."""
    peer = open_peer(**SMALL)
    with within(5):
        flood_and_close(peer)
        peer.closed(code=1006, reason="", code_sent=0, clean=False, initiator="local", cause="close_timeout")


def test_slow_reader_gets_all_before_the_close(start_server):
    """Longer than the close timeout as a whole, but something leaves all the time."""
    peer = Peer(start_server("--commands", "--close-timeout-ms", "1500", "--max-queue-bytes", "33554432"), **SMALL)
    flood_and_close(peer)
    begun = time.monotonic()
    for frames in range(FLOOD):
        assert peer.client.recv_frame() == Frame(BINARY, b"f" * CHUNK)
        if frames % 25 == 0:
            time.sleep(0.25)
    assert time.monotonic() - begun > 1.5
    peer.expect(server_close(4003, "ours"))
    peer.client.send_close(4003)
    peer.expect_end(b"")
    peer.closed(code=4003, reason="", code_sent=4003, clean=True, initiator="local", cause="local_close")


def test_pings_are_answered_until_our_close_leaves(open_peer):
    """Nothing forbids a pong while our Close still waits behind data."""
    peer = open_peer(**SMALL)
    flood_and_close(peer)
    assert peer.client.recv_frame() == Frame(BINARY, b"f" * CHUNK)
    peer.send(build_frame(PING, b"still there?"), build_frame(TEXT, b"dropped"))
    frames = [peer.client.recv_frame() for _ in range(FLOOD)]
    assert frames.count(Frame(PONG, b"still there?")) == 1
    assert frames.count(Frame(BINARY, b"f" * CHUNK)) == FLOOD - 1
    peer.expect(server_close(4003, "ours"))
    peer.client.send_close(4003)
    peer.expect_end(b"")
    peer.closed(code=4003, reason="", code_sent=4003, clean=True, initiator="local", cause="local_close")


def test_ping_then_command_to_close(peer):
    peer.send(build_frame(PING, b"p"), build_frame(TEXT, b"/close 4000 over"))
    peer.expect(server_frame(PONG, b"p"), server_close(4000, "over"))
    peer.client.send_close(4000)
    peer.expect_end(b"")
    peer.closed(code=4000, reason="", code_sent=4000, clean=True, initiator="local", cause="local_close")


def test_the_first_close_counts(peer):
    peer.send(build_frame(TEXT, b"/close 4000 first"), build_frame(TEXT, b"/close 4001 second"), build_frame(TEXT, b"/abort"))
    peer.expect(server_close(4000, "first"))
    peer.client.send_close(4000)
    peer.expect_end(b"")
    peer.closed(code=4000, reason="", code_sent=4000, clean=True, initiator="local", cause="local_close")


def test_answer_octet_by_octet(peer):
    peer.send_frame(TEXT, "/close 4000 over")
    peer.expect(server_close(4000, "over"))
    peer.chop(build_frame(CLOSE, close_payload(4001, "grüße")))
    peer.expect_end(b"")
    peer.closed(code=4001, reason="grüße", code_sent=4000, clean=True, initiator="local", cause="local_close")


def test_answer_and_more(peer):
    """What comes behind the answer counts for nothing."""
    peer.send_frame(TEXT, "/close 4000 over")
    peer.expect(server_close(4000, "over"))
    peer.send(build_frame(CLOSE, close_payload(4001)), build_frame(CLOSE, close_payload(4002)), b"\xff" * 1000)
    peer.expect_end(b"")
    peer.closed(code=4001, reason="", code_sent=4000, clean=True, initiator="local", cause="local_close")


@pytest.mark.parametrize("how", ["reset", "fin", "half a Close and fin"])
def test_end_instead_of_an_answer(peer, how):
    peer.send_frame(TEXT, "/close 4000 over")
    peer.expect(server_close(4000, "over"))
    if how == "reset":
        peer.client.abort()
    else:
        if how != "fin":
            peer.send(build_frame(CLOSE, close_payload(4001))[:5])
        peer.client.shutdown_write()
    peer.closed(code=1006, reason="", code_sent=4000, clean=False, initiator="local", cause="local_close")


@pytest.mark.parametrize("payload", [b"", close_payload(4001, "me too")], ids=["empty", "with a code"])
def test_reset_right_behind_their_answer(peer, payload):
    """Their Close was on its way before the reset: it counts."""
    peer.send_frame(TEXT, "/close 4000 over")
    peer.expect(server_close(4000, "over"))
    peer.send_frame(CLOSE, payload)
    peer.client.abort()
    peer.closed(code=4001 if payload else 1005, reason="me too" if payload else "", code_sent=4000, clean=True, initiator="local",
                cause="local_close")


@pytest.fixture
def paused(start_server):
    """A connection that its server does not read; bytes sent in the same write as the pause have been read, but not taken."""
    peers = []

    def start(*behind):
        peer = Peer(start_server("--commands", "--stop-deadline-ms", "5000"))
        peers.append(peer)
        peer.send(build_frame(TEXT, b"/pause 3600000"), *behind)
        peer.quiet()
        return peer

    yield start
    for peer in peers:
        peer.client.close()


def test_stop_of_a_paused_connection(paused):
    """It is read again, so that its answer is seen."""
    peer = paused(build_frame(PING, b"unanswered"))
    peer.server.send_signal(signal.SIGTERM)
    peer.expect(server_frame(PONG, b"unanswered"), server_close(1001, "server is closing"))
    peer.client.send_close(1001, "seen")
    peer.expect_end(b"")
    peer.closed(code=1001, reason="seen", code_sent=1001, clean=True, initiator="local", cause="server_stop")
    assert peer.server.wait() == 0


def test_stop_of_a_paused_connection_whose_close_was_not_read(paused):
    """In the kernel when ours leaves: it is the answer."""
    peer = paused()
    peer.client.send_close(4001, "waiting")
    peer.quiet()
    peer.server.send_signal(signal.SIGTERM)
    peer.expect_end(server_close(1001, "server is closing"))
    peer.closed(code=4001, reason="waiting", code_sent=1001, clean=True, initiator="local", cause="server_stop")
    assert peer.server.wait() == 0


def test_stop_of_a_paused_connection_whose_close_was_read_but_not_taken(paused):
    """Theirs was here before ours left."""
    peer = paused(build_frame(CLOSE, close_payload(4001, "waiting")))
    peer.server.send_signal(signal.SIGTERM)
    peer.answered(4001, "waiting")
    assert peer.server.wait() == 0
