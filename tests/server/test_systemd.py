"""What systemd passes to a service: its listening socket and where to send word (sd_listen_fds(3), sd_notify(3))."""

import os
import socket
import subprocess
import sys

import pytest
import wsraw
from server import STOP_TIMEOUT_S, Server, binary

# Puts the descriptors named by its arguments to 3, 4, ... and becomes the program, as systemd does: the process id is only known then.
LAUNCHER = """
import os, sys
count, descriptors, command = int(sys.argv[1]), [int(word) for word in sys.argv[2].split(",")], sys.argv[3:]
high = [os.dup2(fd, 100 + index) for index, fd in enumerate(descriptors)]
for index, fd in enumerate(high):
    os.dup2(fd, 3 + index)
    os.close(fd)
os.environ.update(LISTEN_PID=os.environ.get("LISTEN_PID", str(os.getpid())), LISTEN_FDS=str(count), LISTEN_FDNAMES="wsbeat")
os.execv(command[0], command)
"""
PASSED_WELL_ABOVE = 50


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def passed(sock, count=1):
    """Options of Server for this socket."""
    high = os.dup2(sock.fileno(), PASSED_WELL_ABOVE)
    return {"prefix": [sys.executable, "-c", LAUNCHER, str(count), str(high)], "pass_fds": [high]}


def test_the_passed_socket_is_served(start_server, listener):
    port = listener.getsockname()[1]
    server = start_server("--host", "192.0.2.1", "--port", "1", "--commands", **passed(listener))
    assert server.port == port
    with server.connect() as client:
        assert client.command("hello") == "hello"
        client.finish()
    assert f"listening on http://127.0.0.1:{port}/" in server.wait_stderr("listening on")
    assert server.stop() == 0


def test_who_connects_during_a_restart_waits(start_server, listener):
    """The socket outlives the process: nobody is refused."""
    port = listener.getsockname()[1]
    first = start_server(**passed(listener))
    assert first.stop() == 0
    with wsraw.Stream(wsraw.open_socket(port)) as stream:
        stream.send_raw(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        second = start_server(**passed(listener))
        assert stream.recv_response().body == b"ok\n"
        assert second.stop() == 0


def test_a_passed_unix_socket(start_server, tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        server = start_server("--commands", **passed(sock))
        assert server.unix == str(path)
        with server.connect() as client:
            assert client.command("hello") == "hello"
            client.finish()
        assert server.stop() == 0
    assert path.exists()  # whoever made it removes it


def test_a_socket_for_another_process_is_not_taken(start_server, listener, monkeypatch):
    monkeypatch.setenv("LISTEN_PID", "1")
    server = start_server(**passed(listener))
    assert server.port not in (0, listener.getsockname()[1])


@pytest.mark.parametrize("count,status,told", [(2, 1, "LISTEN_FDS is 2, but only one socket can be served"), (0, 0, "listening on http://127.0.0.1:")])
def test_another_number_of_sockets(listener, count, status, told):
    options = passed(listener, count)
    command = [*options["prefix"], binary(), "--port", "0"]
    process = subprocess.Popen(command, pass_fds=options["pass_fds"], stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    assert told in line
    if status == 0:
        process.terminate()
    assert process.wait(STOP_TIMEOUT_S) == status
    process.stderr.close()


def test_something_else_than_a_listening_socket(tmp_path):
    with open(tmp_path / "file", "w", encoding="ascii") as file:
        high = os.dup2(file.fileno(), PASSED_WELL_ABOVE)
        done = subprocess.run([sys.executable, "-c", LAUNCHER, "1", str(high), binary()], pass_fds=[high], capture_output=True, text=True,
                              timeout=STOP_TIMEOUT_S, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "wsbeat-server: cannot start: the passed descriptor 3: Socket operation on non-socket\n"


@pytest.mark.parametrize("address", ["file", "abstract"])
def test_word_of_the_state(tmp_path, address):
    path = str(tmp_path / "notify") if address == "file" else f"@wsbeat-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path.replace("@", "\0", 1) if path[0] == "@" else path)
        sock.settimeout(STOP_TIMEOUT_S)
        with Server(env={**os.environ, "NOTIFY_SOCKET": path}) as server:
            assert sock.recv(100) == b"READY=1"
            assert server.stop() == 0
            assert sock.recv(100) == b"STOPPING=1"
