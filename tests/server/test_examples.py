"""Every example does what its first lines say. The programs: WSBEAT_EXAMPLES_DIR, else WSBEAT_BUILD/examples; the library: WSBEAT_LIBDIR."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import wsraw

LIMIT_S = 30
SOURCES = Path(__file__).parents[2] / "examples"


def _program(name):
    directory = os.environ.get("WSBEAT_EXAMPLES_DIR") or os.path.join(os.environ["WSBEAT_BUILD"], "examples")
    return os.path.join(directory, name)


@pytest.fixture
def start():
    """Starts a command with pipes; ended after the test."""
    started = []

    def start_one(*command, **options):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def _port(line):
    return int(line.rstrip("/\n").replace("/ until Enter is pressed", "").replace(" ", ":").rsplit(":", 1)[1])


def test_every_example_is_tested_here():
    text = Path(__file__).read_text(encoding="utf-8")
    names = [path.stem for path in SOURCES.iterdir() if path.suffix in (".c", ".cpp", ".py")]
    assert len(names) >= 4
    for name in names:
        assert f"test_{name}" in text


def test_echo(start):
    process = start(_program("echo"), "0")
    with wsraw.connect(_port(process.stdout.readline())) as client:
        assert client.command("hello") == "hello"
        client.finish(1000, "bye")
    assert process.stdout.readline() == 'closed: code 1000, reason "bye", clean, peer_close\n'
    process.communicate("\n", timeout=LIMIT_S)
    assert process.returncode == 0


def test_poll_loop(start):
    process = start(_program("poll_loop"), "0")
    port = _port(process.stdout.readline())
    with wsraw.connect(port) as one, wsraw.connect(port) as two:
        assert "opened / from 127.0.0.1" in process.stdout.readline()
        assert "opened / from 127.0.0.1" in process.stdout.readline()
        one.send_text("to all")
        assert [one.recv_text(), two.recv_text()] == ["to all", "to all"]
        process.stdin.write("typed\n")
        process.stdin.flush()
        assert [one.recv_text(), two.recv_text()] == ["typed\n", "typed\n"]
        process.stdin.close()
        for client in (one, two):
            assert client.recv_close() == (1001, "server is closing")
            client.send_close(1001)
    assert process.wait(LIMIT_S) == 0
    assert process.stdout.read().count("closed: 1001 server_stop") == 2


def test_run_on_my_thread(start):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        inherited = listening.fileno()
        process = start("/bin/bash", "-c", f'LISTEN_FDS=1 LISTEN_PID=$$ exec 3<&{inherited} "$0"', _program("run_on_my_thread"),
                        pass_fds=[inherited])
        with wsraw.connect(port, timeout=LIMIT_S) as client:
            assert client.command("five!") == "message 1 has 5 bytes"
            client.send_text("stop")
            assert client.recv_close()[0] == 1001
            client.send_close(1001)
        output, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0
    assert output.splitlines()[-1] == "1 messages"


def test_ctypes_echo(start):
    library = os.path.join(os.environ["WSBEAT_LIBDIR"], "libwsbeat.so")
    process = start(sys.executable, str(SOURCES / "ctypes_echo.py"), "--port", "0",
                    env={**os.environ, "WSBEAT_LIBRARY": library, "PYTHONDONTWRITEBYTECODE": "1"})
    port = _port(process.stdout.readline())
    with wsraw.connect(port, "/from/ctypes", receive_buffer=65536, timeout=LIMIT_S) as client:
        assert process.stdout.readline().split()[2:] == ["/from/ctypes", "from", "127.0.0.1"]
        messages = [bytes([index]) * 300000 for index in range(20)]  # more than its queue takes
        sender = threading.Thread(target=lambda: [client.send_binary(message) for message in messages])
        sender.start()
        assert [client.recv_message() for _ in messages] == messages
        sender.join()
        client.finish(1000, "bye")
    assert process.stdout.readline().split()[2:] == ["1000", "'bye'", "peer_close"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT_S) == 0
