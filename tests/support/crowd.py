"""Thousands of WebSocket clients in one thread and one epoll, for tests and measurements that need a crowd.

Members answer pings and Closes by themselves until they are muted. They act only while run() runs:

    with Crowd(port) as crowd:
        crowd.open(5000)
        crowd.run(3.0)
        crowd.mute(crowd.members[:200])
        crowd.run(until=lambda: all(member.ended for member in crowd.members))
"""

import resource
import select
import socket
import struct
import time

import wsraw

OPEN_TIMEOUT_S = 60.0
HANDSHAKES_AT_ONCE = 256
READ_BYTES = 65536
SPARE_DESCRIPTORS = 200
_IP_BIND_ADDRESS_NO_PORT = 24
_ZERO_KEY = b"\0\0\0\0"
_RESET = struct.pack("ii", 1, 0)


def raise_descriptor_limit(needed):
    """Raises this process's soft limit to the hard one (servers started later inherit it). False if that is not enough."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard == resource.RLIM_INFINITY or hard >= needed + SPARE_DESCRIPTORS


def run_together(crowds, seconds):
    """Lets several crowds act for so long, a few milliseconds each in turn."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for crowd in crowds:
            crowd.run(0.01)


class Member:
    """One client. Times are time.monotonic().

    state: "connecting", "open" or "ended". path: what it asked for, unique in its crowd. close: (code, reason) of the Close that
    came, with close_at. ended: "fin", "reset" or "ours", with ended_at. status: of the handshake's answer.
    """

    __slots__ = ("path", "sock", "state", "buffer", "pings", "messages", "close", "close_at", "close_sent", "ended", "ended_at",
                 "muted_at", "status")

    def __init__(self, path, sock):
        self.path = path
        self.sock = sock
        self.state = "connecting"
        self.buffer = b""
        self.pings = self.messages = self.status = 0
        self.close = self.close_at = self.ended = self.ended_at = self.muted_at = None
        self.close_sent = False

    def send(self, opcode, payload=b""):
        """One small frame; it must fit the socket's room."""
        self.sock.sendall(wsraw.build_frame(opcode, payload, mask=_ZERO_KEY))


class Crowd:
    """Members that connect to host:port from the addresses in `sources` in turn (a few spare the ephemeral ports).

    Their paths are /NAME/0, /NAME/1 and so on.
    """

    def __init__(self, port, host="127.0.0.1", sources=(None,), name="crowd", subprotocols=()):
        self.subprotocols = subprotocols
        self.address = (host, port)
        self.name = name
        self.sources = sources
        self.members = []
        self._epoll = select.epoll()
        self._by_fd = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for member in list(self._by_fd.values()):
            member.sock.close()
        for member in self.members:
            member.sock.close()
        self._epoll.close()

    def start(self, count):
        """Begins `count` handshakes and gives their members; run() carries them on."""
        return [self._connect() for _ in range(count)]

    def open(self, count, timeout=OPEN_TIMEOUT_S):
        """Opens `count` connections, all of which must be accepted."""
        deadline = time.monotonic() + timeout
        members = []
        while len(members) < count:
            batch = self.start(min(HANDSHAKES_AT_ONCE, count - len(members)))
            members += batch
            self.run(deadline - time.monotonic(), until=lambda: all(member.state != "connecting" for member in batch))
        refused = [(member.path, member.state, member.status) for member in members if member.state != "open"]
        assert not refused, f"{len(refused)} of {count} handshakes did not succeed: {refused[:5]}"
        return members

    def _connect(self):
        index = len(self.members)
        sock = socket.socket()
        source = self.sources[index % len(self.sources)]
        if source is not None:
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)  # the port is chosen at connect, by the pair
            sock.bind((source, 0))
        sock.connect(self.address)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        member = Member(f"/{self.name}/{index}", sock)
        sock.sendall(wsraw.request_bytes(member.path, f"{self.address[0]}:{self.address[1]}", key="dGhlIHNhbXBsZSBub25jZQ==",
                                        subprotocols=self.subprotocols))
        self.members.append(member)
        self._watch(member)
        return member

    def _watch(self, member):
        self._by_fd[member.sock.fileno()] = member
        self._epoll.register(member.sock, select.EPOLLIN)

    def _unwatch(self, member):
        if self._by_fd.pop(member.sock.fileno(), None) is not None:
            self._epoll.unregister(member.sock)

    def conns(self, server, members=None):
        """The connections of these open members (None: all), in their order, by the paths in the server's open events."""
        wanted = [member.path for member in (self.members if members is None else members)]
        server.wait_events(lambda event: event["event"] == "open" and event["path"].startswith(f"/{self.name}/"), len(wanted))
        by_path = {event["path"]: event["conn"] for event in server.events[:] if event["event"] == "open"}
        return [by_path[path] for path in wanted]

    def run(self, seconds=OPEN_TIMEOUT_S, until=None):
        """Lets the members act for so long, or until the condition holds. Gives whether it holds (True without one)."""
        deadline = time.monotonic() + seconds
        while True:
            if until is not None and until():
                return True
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return until is None
            for fd, _ in self._epoll.poll(min(remaining, 0.05) if until else remaining, 1024):
                member = self._by_fd.get(fd)
                if member is not None:
                    self._read(member)

    def mute(self, members):
        """They stop reading and answering. muted_at is a moment up to which everything that had come was answered."""
        for member in members:
            while True:
                before = time.monotonic()
                if not self._read(member):
                    break
            member.muted_at = before
            if member.state == "open":
                self._unwatch(member)

    def unmute(self, members):
        """They read and answer again, beginning with what has come meanwhile."""
        for member in members:
            self._watch(member)

    def leave(self, members, how):
        """They end their side without waiting: how is "close" (1000 "bye"; TCP ends when the server answers), "fin" or "reset"."""
        for member in members:
            if how == "close":
                member.close_sent = True
                member.send(wsraw.CLOSE, wsraw.close_payload(1000, "bye"))
                continue
            if how == "reset":
                member.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._end(member, "ours")

    def _read(self, member):
        """Reads once; False when nothing was there or the end came."""
        try:
            data = member.sock.recv(READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            self._end(member, "reset")
            return False
        if not data:
            self._end(member, "fin")
            return False
        member.buffer += data
        try:
            if member.state == "connecting":
                self._take_answer(member)
            if member.state == "open":
                self._take_frames(member)
        except OSError:  # the answer could not be sent
            self._end(member, "reset")
        return member.state != "ended"

    def _take_answer(self, member):
        head, mark, rest = member.buffer.partition(b"\r\n\r\n")
        if mark:
            member.status = int(head.split(b" ", 2)[1])
            if member.status == 101:
                member.state, member.buffer = "open", rest
            else:
                self._end(member, "fin")

    def _take_frames(self, member):
        data = member.buffer
        while len(data) >= 2:
            length, head = data[1] & 0x7F, 2
            if length >= 126:
                size = 2 if length == 126 else 8
                length, head = int.from_bytes(data[2:2 + size], "big"), 2 + size
                if len(data) < head:
                    break
            if len(data) < head + length:
                break
            opcode, payload, data = data[0] & 0x0F, data[head:head + length], data[head + length:]
            self._take_frame(member, opcode, payload)
        member.buffer = data

    def _take_frame(self, member, opcode, payload):
        if opcode == wsraw.PING:
            member.pings += 1
            if not member.close_sent:
                member.send(wsraw.PONG, payload)
        elif opcode == wsraw.CLOSE:
            member.close, member.close_at = wsraw.Frame(opcode, payload).close, time.monotonic()
            if not member.close_sent:
                member.close_sent = True
                member.send(wsraw.CLOSE, payload[:2])
        elif opcode != wsraw.PONG:
            member.messages += 1

    def _end(self, member, how):
        if member.state != "ended":
            member.state, member.ended, member.ended_at = "ended", how, time.monotonic()
            self._unwatch(member)
            member.sock.close()
