"""Debian's nats-server for tests: single or as a cluster on loopback, on free ports, ended by process id."""

import re
import shutil
import signal
import socket
import subprocess
import time
from collections import namedtuple

PROGRAM = shutil.which("nats-server") or "/usr/sbin/nats-server"
START_TIMEOUT_S = 15.0


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Nats:
    """One nats-server. `port` stays the same over stop and start."""

    def __init__(self, folder, *flags, port=None, prefix=(), host="127.0.0.1"):
        self.host, self.port = host, port or free_port()
        self.log = folder / f"nats-{self.port}.log"
        self.command = [*prefix, PROGRAM, "-a", host, "-p", str(self.port), "-l", str(self.log), *map(str, flags)]
        self.process = None
        self.start()

    @property
    def url(self):
        return f"nats://{self.host}:{self.port}"

    def start(self):
        self.log.unlink(missing_ok=True)
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait_log("Server is ready")

    def wait_log(self, text, count=1):
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.log.exists() or self.log.read_text().count(text) < count:
            assert self.process.poll() is None, f"nats-server ended: {self.log.read_text() if self.log.exists() else ''}"
            assert time.monotonic() < deadline, f"no {text!r} in {self.log.read_text()}"
            time.sleep(0.005)

    def stop(self):
        self._end(signal.SIGTERM)

    def kill(self):
        self._end(signal.SIGKILL)

    def _end(self, number):
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(10)


def cluster(folder, size):
    """So many servers, each with a route to every other."""
    routes = [free_port() for _ in range(size)]
    everyone = ",".join(f"nats-route://127.0.0.1:{route}" for route in routes)
    servers = [Nats(folder, "--cluster_name", "test", "--cluster", f"nats://127.0.0.1:{route}", "--routes", everyone) for route in routes]
    for server in servers:
        server.wait_log("Route connection created", size - 1)
    return servers


Message = namedtuple("Message", "subject number data headers")  # number: of the subscription that brought it


class RawNats:
    """A NATS client in a few lines, for what other programs see and do."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), 10)
        self.file = self.sock.makefile("rb")
        assert self.file.readline().startswith(b"INFO ")
        self.sock.sendall(b'CONNECT {"verbose":false,"pedantic":false,"headers":true}\r\n')
        self.flush()
        self.messages = []

    def flush(self):
        """Returns when the server has done all that came before; messages on the way are kept."""
        self.sock.sendall(b"PING\r\n")
        while not self._take(self.file.readline()):
            pass

    def _take(self, line):
        if line == b"PONG\r\n":
            return True
        if line == b"PING\r\n":
            self.sock.sendall(b"PONG\r\n")
            return False
        words = line.split()
        assert words and words[0] in (b"MSG", b"HMSG"), line
        head = int(words[-2]) if words[0] == b"HMSG" else 0
        data = self.file.read(int(words[-1]) + 2)[:-2]
        self.messages.append(Message(words[1].decode(), int(words[2]), data[head:], data[:head].decode()))
        return False

    def subscribe(self, subject, number=1):
        self.sock.sendall(f"SUB {subject} {number}\r\n".encode())
        self.flush()

    def publish(self, subject, data):
        self.sock.sendall(f"PUB {subject} {len(data)}\r\n".encode() + data + b"\r\n")
        self.flush()

    def next_message(self):
        """The next Message."""
        while not self.messages:
            self._take(self.file.readline())
        return self.messages.pop(0)

    def close(self):
        self.sock.close()


def subscriptions(port):
    """Subjects below "wsbeat." that clients of a NATS server have, each as often as clients have it, from its monitoring port."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(b"GET /connz?subs=1 HTTP/1.0\r\n\r\n")
        while data := sock.recv(65536):
            answer += data
    return sorted(re.findall(r'"(wsbeat\.[^"]*)"', answer.decode().replace("\\u003e", ">")))
