"""python -m wsbeat serve and check."""

import os
import pty
import signal
import socket
import subprocess
import sys
import threading

import pytest
import wsraw
from conftest import plain_server

import wsbeat

COMMAND = [sys.executable, "-m", "wsbeat"]


def check(*arguments, limit=30):
    done = subprocess.run([*COMMAND, "check", *arguments], capture_output=True, text=True, timeout=limit, check=False)
    assert done.stderr == "" or done.returncode == 2, done.stderr
    return done.returncode, done.stdout


def test_serve_is_the_server_program():
    process = subprocess.Popen([*COMMAND, "serve", "--port", "0", "--events"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        import json
        listening = json.loads(process.stdout.readline())
        assert listening["event"] == "listening"
        with wsraw.connect(listening["port"]) as client:
            assert client.command("hi") == "hi"
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.communicate()


def test_serve_has_the_same_flags():
    from pathlib import Path
    ours = subprocess.run([*COMMAND, "serve", "--help"], capture_output=True, text=True, timeout=30, check=True).stdout
    program = Path(os.environ.get("WSBEAT_BUILD", "build/dev")) / "bin/wsbeat-server"
    assert "--heartbeat-ms" in ours
    assert ours == subprocess.run([program, "--help"], capture_output=True, text=True, timeout=30, check=True).stdout


def test_usage():
    assert subprocess.run(COMMAND, capture_output=True, timeout=30, check=False).returncode == 2
    version = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    assert version == f"wsbeat {wsbeat.__version__}\n"
    for wrong in (["--wait", "x", "ws://h"], ["--wait", "-1", "ws://h"], []):
        assert check(*wrong)[0] == 2


def test_check_of_a_good_server(start):
    server = start(plain_server(heartbeat=0.3, subprotocols=["v1"]))
    status, out = check(f"ws://127.0.0.1:{server.port}/path?x=1", "--wait", "5", "--subprotocol", "v1")
    assert status == 0 and [line.split()[:2] for line in out.splitlines()] == [
        ["handshake", "ok"], ["round", "trip"], ["heartbeat", "ok"], ["close", "ok"]]
    assert "subprotocol v1" in out


def test_check_without_a_heartbeat(start):
    server = start(plain_server(heartbeat=None))
    status, out = check(f"ws://127.0.0.1:{server.port}", "--wait", "0.3")
    assert status == 0 and "no ping within 0.3 s" in out
    assert "heartbeat" not in check(f"ws://127.0.0.1:{server.port}", "--wait", "0")[1]


def test_the_progress_bar_is_for_terminals(start):
    server = start(plain_server(heartbeat=None))
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*COMMAND, "check", f"ws://127.0.0.1:{server.port}", "--wait", "0.5"], stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    drawn = b""
    try:
        while piece := os.read(ours, 4096):
            drawn += piece
    except OSError:  # the other end was closed
        pass
    os.close(ours)
    assert "heartbeat  none" in process.communicate(timeout=30)[0] and process.returncode == 0
    assert b"waiting for a ping [" in drawn and b"#" in drawn


class BadServer:
    """Answers the handshake, then does what `behave(stream)` does."""

    def __init__(self, behave, answer=None):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self.listener.getsockname()[1]}/"
        self.behave, self.answer = behave, answer
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with wsraw.Client(self.listener.accept()[0]) as stream:
            head = stream.recv_until(b"\r\n\r\n").decode()
            key = next(line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
            accept = wsraw.accept_key(key)
            stream.send_raw((self.answer or f"HTTP/1.1 101 ok\r\nSec-WebSocket-Accept: {accept}\r\n\r\n").encode())
            try:
                self.behave(stream)
            except wsraw.ConnectionEnded:
                pass


def frame(opcode, payload=b""):
    return bytes([0x80 | opcode, len(payload)]) + payload


def answer_pings(stream, last=lambda stream, close: stream.send_raw(frame(wsraw.CLOSE, close.payload))):
    while (got := stream.recv_frame()).opcode != wsraw.CLOSE:
        stream.send_raw(frame(wsraw.PONG, got.payload))
    last(stream, got)


@pytest.mark.parametrize("behave, answer, words", [
    (lambda s: s.recv_frame(), None, "TCP ended"),
    (lambda s: s.recv_all(), None, "no pong within"),
    (lambda s: (s.recv_frame(), s.send_raw(frame(wsraw.PONG, b"?")), s.recv_all()), None, "another payload"),
    (lambda s: answer_pings(s, lambda s, c: s.recv_all()), None, "no Close within"),
    (lambda s: answer_pings(s, lambda s, c: (s.send_raw(frame(wsraw.CLOSE, b"\x03\xea")))), None, "1000 was to be echoed"),
    (lambda s: answer_pings(s, lambda s, c: (s.send_raw(frame(wsraw.CLOSE, c.payload)), s.recv_all())), None, "TCP was still open"),
    (lambda s: s.send_raw(frame(wsraw.CLOSE, b"\x03\xe8")) or s.recv_all(), None, "closed the connection unasked"),
    (lambda s: s.send_raw(b"\x89\x80abcd") or s.recv_all(), None, "masks its frames"),
    (lambda s: None, "HTTP/1.1 404 Not Found\r\n\r\n", "refused: HTTP/1.1 404"),
    (lambda s: None, "HTTP/1.1 101 ok\r\nSec-WebSocket-Accept: x\r\n\r\n", "wrong Sec-WebSocket-Accept"),
    (lambda s: None, "nothing\r\n\r\n", "refused"),
])
def test_check_tells_what_is_wrong(behave, answer, words):
    status, out = check(BadServer(behave, answer).url, "--wait", "0", "--timeout", "0.5")
    assert status in (1, 2) and "FAILED" in out and words in out


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "ws://", "nonsense", "ws://127.0.0.1:99999/", "ws://127.0.0.1:1/"])
def test_check_of_nothing(url):
    status, out = check(url)
    assert status == 2 and "FAILED" in out
