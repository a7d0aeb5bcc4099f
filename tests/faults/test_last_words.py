"""What a peer said last counts, and what it is owed arrives, also where reading or writing had stopped when the end came."""

import socket
import ssl
import time

import pytest
import wsraw
from endings import MUTE, check_end
from wsraw import BINARY, CLOSE, TEXT, build_frame, close_payload

FRAME_BYTES = 900000


@pytest.fixture(params=["plain", "tls"])
def server(request, start_server):
    return start_server("--commands", "--heartbeat-ms", "off", *(request.getfixturevalue("tls_flags") if request.param == "tls" else []))


def flooded(server):
    """(client, connection) of one that has read nothing of a flood."""
    client, opened = server.connect_open(receive_buffer=8192)
    client.send_text(f"/flood 100 {FRAME_BYTES}")
    return client, opened["conn"]


def wait_until_blocked(server):
    """Until the kernel takes no more of the flood."""
    deadline, before = time.monotonic() + 10.0, 0.0
    while True:
        queued = server.metrics()["wsbeat_queue_bytes"]
        if queued == before != 0.0:
            return
        assert time.monotonic() < deadline
        before = queued
        time.sleep(0.1)


@pytest.mark.parametrize("together", [True, False], ids=["in one piece", "later"])
def test_a_close_before_a_reset_while_we_do_not_read(server, together):
    client, conn = flooded(server)
    wait_until_blocked(server)
    pause, close = build_frame(TEXT, b"/pause 60000"), build_frame(CLOSE, close_payload(4001, "bye"))
    if together:
        client.send_raw(pause + close)
    else:
        client.send_raw(pause)
        time.sleep(0.2)
        client.send_raw(close)
    time.sleep(0.2)
    client.abort()
    check_end(server, conn, {"cause": "peer_close", "code": 4001, "code_sent": 0, "reason": "bye", "clean": False,
                             "initiator": "remote"}, timeout=5.0)


def test_who_has_closed_and_shut_down_still_gets_the_frame_and_the_answer(server):
    client, conn = flooded(server)
    wait_until_blocked(server)
    client.send_close(4001, "bye")
    client.shutdown_write()
    time.sleep(0.2)
    data, _ = client.recv_all()
    frame = build_frame(BINARY, bytes(FRAME_BYTES), mask=None)
    answer = build_frame(CLOSE, close_payload(4001), mask=None)
    assert data.endswith(answer)
    assert (len(data) - len(answer)) % len(frame) == 0
    check_end(server, conn, {"cause": "peer_close", "code": 4001, "code_sent": 4001, "reason": "bye", "clean": True,
                             "initiator": "remote"})


class MutedTls:
    """A WebSocket over TLS whose records the test sends itself, in parts if it likes."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=5.0)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = wsraw.insecure_tls().wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self._until_done(self.tls.do_handshake)
        self.tls.write(wsraw.request_bytes("/", f"127.0.0.1:{port}"))
        self.sock.sendall(self.outgoing.read())
        assert self._until_done(lambda: self.tls.read(65536)).startswith(b"HTTP/1.1 101 ")

    def _until_done(self, act):
        while True:
            try:
                result = act()
            except ssl.SSLWantReadError:
                self.sock.sendall(self.outgoing.read())
                self.incoming.write(self.sock.recv(65536))
                continue
            self.sock.sendall(self.outgoing.read())
            return result

    def record(self, data):
        """One TLS record with this in it."""
        self.tls.write(data)
        return self.outgoing.read()


@pytest.mark.parametrize("liveness", ["any", "pong"])
def test_silent_in_the_middle_of_a_tls_record(start_server, tls_flags, liveness):
    server = start_server("--heartbeat-ms", "1000", "--heartbeat-timeout-ms", "500", "--liveness", liveness, *tls_flags)
    for count, cut in enumerate((3, 15), start=1):
        client = MutedTls(server.port)
        conn = server.wait_events("open", count)[-1]["conn"]
        client.sock.sendall(client.record(build_frame(TEXT, b"never whole"))[:cut])
        muted = time.monotonic()
        assert 0.4 < check_end(server, conn, MUTE, timeout=5.0) - muted < 3.0
        client.sock.close()


def test_a_record_that_takes_longer_than_the_timeout_is_life(start_server, tls_flags):
    server = start_server("--heartbeat-ms", "600", "--heartbeat-timeout-ms", "300", *tls_flags)
    client = MutedTls(server.port)
    record = client.record(build_frame(TEXT, b"a" * 40))
    for byte in record:
        client.sock.sendall(bytes([byte]))
        time.sleep(0.05)
    client.sock.settimeout(5.0)
    server.wait_event("open")
    assert not [event for event in server.events if event["event"] == "close"]
    client.sock.close()
