"""--events: the lines, and a stdout that nobody reads or that cannot be written."""

import json
import os
import signal
import subprocess
import time

import pytest
import wsraw
from server import START_TIMEOUT_S, binary


def test_the_life_of_a_connection(start_server):
    server = start_server("--subprotocols", "v2.0", "--heartbeat-ms", "100")
    assert server.events[0] == {"event": "listening", "port": server.port}
    client, opened = server.connect_open("/a/b?c=d", subprotocols=["v2.0"])
    assert opened == {"event": "open", "conn": opened["conn"], "path": "/a/b", "subprotocol": "v2.0", "peer": "127.0.0.1"}
    assert int(opened["conn"]) > 0
    ping = client.recv_frame()
    assert ping.opcode == wsraw.PING
    client.send_pong(ping.payload)
    pong = server.wait_event("pong")
    assert pong == {"event": "pong", "conn": opened["conn"], "rtt_us": pong["rtt_us"]} and pong["rtt_us"] > 0
    client.send_close(1000, "bye")
    closed = server.wait_event("close")
    assert closed == {"event": "close", "conn": opened["conn"], "code": 1000, "reason": "bye", "code_sent": 1000, "clean": True,
                      "initiator": "remote", "cause": "peer_close"}
    assert list(closed) == ["event", "conn", "code", "reason", "code_sent", "clean", "initiator", "cause"]
    assert server.stop() == 0
    assert server.events[-1] == {"event": "stopped", "clean": 0, "aborted": 0}


def test_the_lines_byte_for_byte():
    """As people and programs read them: compact, in this order, one a line, ids as strings."""
    process = subprocess.Popen([binary(), "--port", "0", "--events", "--quiet", "--commands"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, text=True)
    lines = []

    def line():
        lines.append(process.stdout.readline())
        return json.loads(lines[-1])

    try:
        port = line()["port"]
        with pytest.raises(wsraw.HandshakeRefused):
            wsraw.connect(port, origin="https://else.where")
        line()
        with wsraw.connect(port, "/a?b") as client:
            conn = line()["conn"]
            client.send_text("/ping x")
            client.send_pong(client.recv_frame().payload)
            rtt_us = line()["rtt_us"]
            client.finish(1000, "bye")
            line()
        process.terminate()
        line()
        assert process.stdout.read() == "" and process.wait(START_TIMEOUT_S) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert lines == [
        f'{{"event":"listening","port":{port}}}\n',
        '{"event":"refused","status":403,"cause":"origin"}\n',
        f'{{"event":"open","conn":"{conn}","path":"/a","subprotocol":"","peer":"127.0.0.1"}}\n',
        f'{{"event":"pong","conn":"{conn}","rtt_us":{rtt_us}}}\n',
        f'{{"event":"close","conn":"{conn}","code":1000,"reason":"bye","code_sent":1000,"clean":true,"initiator":"remote",'
        '"cause":"peer_close"}\n',
        '{"event":"stopped","clean":0,"aborted":0}\n',
    ]


@pytest.mark.parametrize("reason", ['"quoted" \\ back', "line\nfeed\ttab\x00nul\x1f\x7f", "𝄞 grüß \u2028 \ufffd"])
def test_reasons_are_escaped(start_server, reason):
    server = start_server()
    server.connect().send_close(4000, reason)
    assert server.wait_event("close")["reason"] == reason


def test_each_open_has_one_close_and_ids_are_unique(start_server):
    server = start_server("--workers", "2")
    for index in range(60):
        client = server.connect()
        [client.close, client.abort, lambda c=client: c.finish(1000)][index % 3]()
    server.wait_events("close", 60)
    opened = [event["conn"] for event in server.events if event["event"] == "open"]
    closed = [event["conn"] for event in server.events if event["event"] == "close"]
    assert len(opened) == len(set(opened)) == 60
    assert sorted(opened) == sorted(closed)


def test_unsolicited_pongs_are_no_events(server):
    client, _ = server.connect_open()
    client.send_pong(b"unasked")
    assert client.command("done") == "done"
    assert not [event for event in server.events if event["event"] == "pong"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_graceful_stop_closes_everyone_with_1001(start_server, number):
    server = start_server()
    clients = [server.connect() for _ in range(5)]
    server.wait_events("open", 5)
    server.send_signal(number)
    for client in clients[1:]:
        assert client.recv_close() == (1001, "server is closing")
        client.send_close(1001)
    clients[0].recv_close()
    clients[0].abort()
    assert server.wait() == 0
    assert server.events[-1] == {"event": "stopped", "clean": 4, "aborted": 1}
    assert [event["cause"] for event in server.events if event["event"] == "close"].count("server_stop") >= 4


def test_the_deadline_aborts_who_does_not_answer(start_server):
    server = start_server("--stop-deadline-ms", "300")
    client, opened = server.connect_open()
    begun = time.monotonic()
    assert server.stop() == 0
    assert 0.25 <= time.monotonic() - begun < 5
    assert server.events[-1] == {"event": "stopped", "clean": 0, "aborted": 1}
    closed = server.wait_event("close", conn=opened["conn"])
    assert (closed["code"], closed["clean"], closed["cause"]) == (1006, False, "server_stop")
    client.close()


def test_a_second_signal_stops_at_once(start_server):
    server = start_server("--stop-deadline-ms", "60000", "--close-timeout-ms", "60000")
    client, _ = server.connect_open()
    server.send_signal(signal.SIGTERM)
    client.recv_close()
    begun = time.monotonic()
    server.send_signal(signal.SIGINT)
    assert server.wait() == 0
    assert time.monotonic() - begun < 5
    assert server.events[-1] == {"event": "stopped", "clean": 0, "aborted": 1}


def test_a_hangup_without_certificates_changes_nothing(server):
    server.send_signal(signal.SIGHUP)
    server.wait_stderr("nothing to reload without --tls-cert")
    assert server.connect().command("still here") == "still here"


def test_closes_are_spread_on_request(start_server):
    server = start_server("--stop-spread-ms", "800", "--stop-deadline-ms", "5000")
    clients = [server.connect() for _ in range(16)]
    server.wait_events("open", 16)
    server.send_signal(signal.SIGTERM)
    for client in clients:
        client.recv_close()
        client.send_close(1001)
    assert server.wait() == 0
    times = [moment for event, moment in zip(server.events, server.times) if event["event"] == "close"]
    assert len(times) == 16 and 0.3 <= max(times) - min(times) <= 2.5


class _Unread:
    """A server whose stdout is not read by a Server; `stderr` is all that it said."""

    def __init__(self, stdout, prefix=()):
        # Unbuffered: readline must not take what communicate is to give.
        self.process = subprocess.Popen([*prefix, binary(), "--port", "0", "--events", "--commands"], stdin=subprocess.DEVNULL,
                                        stdout=stdout, stderr=subprocess.PIPE, bufsize=0)
        self.stderr = ""
        line = ""
        while "listening on" not in line:
            line = self.process.stderr.readline().decode()
            assert line, f"ended before it listened: {self.stderr}"
            self.stderr += line
        self.port = int(line.rsplit(":", 1)[1].rstrip("/\n"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def check_serves(self, connections=1):
        for _ in range(connections):
            with wsraw.connect(self.port) as client:
                assert client.command("served") == "served"

    def stop(self):
        self.process.terminate()
        self.stderr += self.process.communicate(timeout=START_TIMEOUT_S)[1].decode()
        return self.process.returncode


def test_a_full_disk_is_reported_once_and_survived():
    with open("/dev/full", "wb") as full, _Unread(full) as server:
        server.check_serves(20)
        assert server.stop() == 0
        assert server.stderr.count("cannot write events to stdout: No space left on device") == 1


def test_a_closed_stdout_is_reported_once_and_survived():
    """The events must not go to whatever else gets descriptor 1."""
    with _Unread(None, prefix=["/bin/bash", "-c", 'exec "$0" "$@" >&-']) as server:
        server.check_serves(5)
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 4, "it does not wait for a reader that cannot be"
        assert server.stderr.count("cannot write events to stdout: Bad file descriptor") == 1


def test_a_reader_that_goes_away_is_reported_once_and_survived():
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as stdout, _Unread(stdout) as server:
        os.close(reading)
        stdout.close()
        server.check_serves(5)
        assert server.stop() == 0
        assert server.stderr.count("cannot write events to stdout: Broken pipe") == 1


def test_a_reader_that_does_not_read_holds_nobody_up():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as unread, os.fdopen(writing, "wb") as stdout, _Unread(stdout) as server:
        stdout.close()
        # Far more than a pipe takes; each reason is escaped to six times its length.
        for _ in range(400):
            with wsraw.connect(server.port) as client:
                client.finish(4000, "\x01" * 123)
        server.check_serves()
        server.process.terminate()
        events = [json.loads(line) for line in unread]
        assert len([event for event in events if event["event"] == "close"]) == 401
        assert events[-1]["event"] == "stopped"
        assert server.process.wait(START_TIMEOUT_S) == 0


def test_a_reader_that_never_reads_does_not_keep_the_process_alive():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb"), os.fdopen(writing, "wb") as stdout, _Unread(stdout) as server:
        stdout.close()
        for _ in range(150):
            with wsraw.connect(server.port) as client:
                client.finish(4000, "\x01" * 123)
        assert server.stop() == 0
        assert server.stderr.count("cannot write events to stdout: its reader does not read") == 1


def test_logs_go_to_stderr_alone(start_server):
    server = start_server()
    with server.socket() as stream:
        stream.send_raw(b"\x00\x01 not HTTP\r\n\r\n")
        stream.recv_all()
    assert server.stop() == 0  # every line on stdout was JSON, or the reader would have failed
    assert server.events[-1]["event"] == "stopped"
