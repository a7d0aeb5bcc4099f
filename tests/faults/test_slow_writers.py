"""Peers that send too slowly, or nothing: in the request head, in the TLS handshake. Slow messages are in test_one_minute.py."""

import time

import pytest
import wsraw
from endings import wait_for_descriptors

TIMEOUT_S = 0.6
FLAGS = ["--handshake-timeout-ms", "600"]
SLACK_S = 0.3
CROWD = 150


def dribble(streams, data, until):
    """A byte of `data` to each stream every 50 ms until that time, ends included."""
    alive = list(streams)
    for at in range(len(data)):
        for stream in list(alive):
            try:
                stream.send_raw(data[at:at + 1])
            except OSError:
                alive.remove(stream)
        if time.monotonic() >= until:
            return
        time.sleep(0.05)


def test_a_dribbled_request_gets_408_in_time(start_server):
    server = start_server(*FLAGS)
    began = time.monotonic()
    stream = server.socket()
    with stream:
        dribble([stream], wsraw.request_bytes(), began + TIMEOUT_S - 0.1)
        response = stream.recv_response()
        assert response.status == 408
        assert TIMEOUT_S - 0.02 < time.monotonic() - began < TIMEOUT_S + SLACK_S
        assert stream.recv_all()[1] == "fin"
    refused = server.wait_event("refused")
    assert (refused["status"], refused["cause"]) == (408, "timeout")


def test_a_crowd_of_dribblers_harms_nobody(start_server):
    server = start_server(*FLAGS)
    descriptors = server.descriptors()
    streams = [server.socket() for _ in range(CROWD)]
    began = time.monotonic()
    dribble(streams, wsraw.request_bytes(), began + 0.3)
    with server.connect() as client:
        client.send_text("beside them")
        assert client.recv_text() == "beside them"
    ends = [stream.recv_all(timeout=5.0)[0] for stream in streams]
    assert all(data.startswith(b"HTTP/1.1 408 ") for data in ends)
    assert time.monotonic() - began < TIMEOUT_S + 2 * SLACK_S
    for stream in streams:
        stream.close()
    refused = server.wait_events("refused", CROWD)
    assert {(event["status"], event["cause"]) for event in refused} == {(408, "timeout")}
    wait_for_descriptors(server, descriptors)


@pytest.mark.parametrize("sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_silent_peer_is_let_go_in_time(start_server, sent):
    server = start_server(*FLAGS)
    began = time.monotonic()
    with server.socket() as stream:
        stream.send_raw(sent)
        stream.recv_all()
        assert TIMEOUT_S - 0.1 < time.monotonic() - began < TIMEOUT_S + SLACK_S


def test_stalled_tls_handshakes_end_in_time(start_server, tls_flags):
    server = start_server(*FLAGS, *tls_flags)
    server.connect().finish()
    descriptors = server.descriptors()
    client_hello = bytes.fromhex("16030100c8010000c40303")  # a record that promises more than comes
    streams = []
    began = time.monotonic()
    for sent in (b"", client_hello, client_hello + bytes(20)) * 20:
        streams.append(server.socket(tls=None))
        streams[-1].send_raw(sent)
    opening = time.monotonic() - began
    with server.connect() as client:
        client.send_text("beside them")
        assert client.recv_text() == "beside them"
    for stream in streams:
        assert b"HTTP" not in stream.recv_all(timeout=5.0)[0], "plain text on a TLS port"
        stream.close()
    assert TIMEOUT_S - 0.1 < time.monotonic() - began < opening + TIMEOUT_S + 2 * SLACK_S
    wait_for_descriptors(server, descriptors)
    assert sum(event["event"] == "open" for event in server.events) == 2


@pytest.mark.parametrize("sent, answer", [(b"", b""), (b"GET / HTTP/1.1\r\n", b"HTTP/1.1 408")])
def test_tls_is_done_but_no_whole_request_comes(start_server, tls_flags, sent, answer):
    server = start_server(*FLAGS, *tls_flags)
    began = time.monotonic()
    with server.socket() as stream:
        stream.send_raw(sent)
        assert stream.recv_all()[0][:12] == answer
        assert TIMEOUT_S - 0.1 < time.monotonic() - began < TIMEOUT_S + SLACK_S


def test_plain_bytes_on_a_tls_port(start_server, tls_flags):
    server = start_server(*FLAGS, *tls_flags)
    descriptors = server.descriptors()
    for _ in range(20):
        with server.socket(tls=None) as stream:
            stream.send_raw(wsraw.request_bytes())
            data, _ = stream.recv_all()
            assert not data.startswith(b"HTTP/1.1 101")
    wait_for_descriptors(server, descriptors)
