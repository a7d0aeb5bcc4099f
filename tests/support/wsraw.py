"""A raw, blocking WebSocket client for tests: it sends any bits it is told to and shows exactly what came back.

It judges nothing except the handshake's answer, answers nothing by itself (pings and Closes stay unanswered) and every read
has a time limit. Suites build their cases from it:

    with connect(port, subprotocols=["v2.0"]) as client:
        client.send_text("hello")
        assert client.recv_frame() == Frame(TEXT, b"hello")
        client.send_close(1000, "bye")
        assert client.recv_close() == (1000, "bye")
        assert client.recv_end() == "fin"
"""

import socket
import ssl
import struct
import time
from dataclasses import dataclass, field

from wsbytes import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, accept_key, build_frame, close_payload, host_field, mask_bytes,
                     new_key, request_bytes)

DEFAULT_TIMEOUT_S = 10.0
_TCP_CLOSE = 7  # linux/tcp_states.h


class ConnectionEnded(Exception):
    """The peer ended TCP where bytes were expected; `data` is what came before the end.

    `how` is "fin" (in TLS after close_notify), "truncated" (TLS without close_notify), "alert" (another TLS alert) or "reset".
    """

    def __init__(self, how, data=b""):
        super().__init__(f"connection ended by {how} after {len(data)} further bytes")
        self.how = how
        self.data = data


@dataclass
class Response:
    """An HTTP answer. `headers` has lower-case names; repeated ones are joined with ", "."""

    status: int
    reason: str
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    head: bytes = b""


class HandshakeRefused(Exception):
    """The answer was not 101 (or was a wrong 101); `response` has all of it."""

    def __init__(self, response, text=""):
        super().__init__(text or f"{response.status} {response.reason} {response.body[:200]!r}")
        self.response = response


# ----------------------------------------------------------------------------------------------------------- sockets


def open_socket(port=None, *, host="127.0.0.1", unix=None, tls=None, timeout=DEFAULT_TIMEOUT_S, receive_buffer=None,
                source=None, server_name="localhost"):
    """A connected TCP or Unix socket, in TLS if `tls` is an ssl.SSLContext or True (no verification).

    receive_buffer sets SO_RCVBUF before connecting (a small window for slow readers); source is a local address to bind.
    """
    family = socket.AF_UNIX if unix else (socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            sock.bind((source, 0))
        sock.connect(str(unix) if unix else (host, port))
        if not unix:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            context = insecure_tls() if tls is True else tls
            context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # Python's default would take a bare FIN for a close_notify
            sock = context.wrap_socket(sock, server_hostname=server_name, suppress_ragged_eofs=False)
        return sock
    except BaseException:
        sock.close()
        raise


def insecure_tls():
    """A client context that accepts every certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Stream:
    """A socket with a read buffer and a time limit on every read."""

    def __init__(self, sock, timeout=DEFAULT_TIMEOUT_S):
        self.sock = sock
        self.timeout = timeout
        self.buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send_raw(self, data):
        """Sends exactly these bytes."""
        self.sock.settimeout(self.timeout)
        self.sock.sendall(data)

    def send_slowly(self, data, pause_s, piece=1):
        """Sends the bytes in small pieces with pauses between them."""
        for start in range(0, len(data), piece):
            self.send_raw(data[start:start + piece])
            time.sleep(pause_s)

    def fill(self, deadline):
        """Reads once into the buffer. Raises TimeoutError or ConnectionEnded (what is buffered stays there)."""
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("nothing more came in time")
        self.sock.settimeout(remaining)
        try:
            data = self.sock.recv(262144)
        except (ConnectionResetError, BrokenPipeError):
            raise ConnectionEnded("reset", bytes(self.buffer)) from None
        except (socket.timeout, ssl.SSLWantReadError):
            raise TimeoutError("nothing more came in time") from None
        except ssl.SSLError as error:
            raise ConnectionEnded(self._tls_end(error), bytes(self.buffer)) from None
        if not data:
            raise ConnectionEnded("fin", bytes(self.buffer))
        self.buffer += data

    def _tls_end(self, error):
        """Python's ssl says EOF for a reset too: the kernel knows better."""
        if not isinstance(error, ssl.SSLEOFError):
            return "alert"
        state = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        return "reset" if state == _TCP_CLOSE else "truncated"

    def recv_exact(self, length, timeout=None):
        """Exactly so many bytes."""
        deadline = self.deadline(timeout)
        while len(self.buffer) < length:
            self.fill(deadline)
        data = bytes(self.buffer[:length])
        del self.buffer[:length]
        return data

    def recv_until(self, mark, timeout=None, limit=1 << 20):
        """Bytes up to and including `mark`."""
        deadline = self.deadline(timeout)
        while mark not in self.buffer:
            if len(self.buffer) > limit:
                raise ValueError(f"no {mark!r} within {limit} bytes")
            self.fill(deadline)
        return self.recv_exact(self.buffer.index(mark) + len(mark))

    def recv_all(self, timeout=None):
        """(bytes, how): everything until the peer ends TCP, and how it ended (as in ConnectionEnded)."""
        deadline = self.deadline(timeout)
        while True:
            try:
                self.fill(deadline)
            except ConnectionEnded as end:
                data = bytes(self.buffer)
                self.buffer.clear()
                return data, end.how

    def recv_end(self, timeout=None):
        """How the peer ended TCP (as in ConnectionEnded); AssertionError if any byte came before."""
        data, how = self.recv_all(timeout)
        assert not data, f"{len(data)} bytes before the end: {data[:64]!r}"
        return how

    def silent(self, duration_s):
        """True if neither a byte nor an end comes for so long."""
        if self.buffer:
            return False
        try:
            self.fill(time.monotonic() + duration_s)
        except TimeoutError:
            return True
        except ConnectionEnded:
            return False
        return False

    def deadline(self, timeout=None):
        return time.monotonic() + (self.timeout if timeout is None else timeout)

    def recv_response(self, timeout=None, method="GET"):
        """An HTTP answer, with its body by Content-Length, or until the end when there is no length."""
        head = self.recv_until(b"\r\n\r\n", timeout)
        lines = head.decode("latin-1").split("\r\n")
        protocol, status, *reason = lines[0].split(" ", 2)
        assert protocol == "HTTP/1.1", lines[0]
        response = Response(int(status), reason[0] if reason else "", head=head)
        for line in filter(None, lines[1:]):
            name, _, value = line.partition(":")
            name, value = name.strip().lower(), value.strip()
            response.headers[name] = f"{response.headers[name]}, {value}" if name in response.headers else value
        if response.status not in (101, 204, 304) and response.status >= 200 and method != "HEAD":
            length = response.headers.get("content-length")
            response.body = self.recv_exact(int(length), timeout) if length else self.recv_all(timeout)[0]
        return response

    def shutdown_write(self):
        """Sends a FIN; reading goes on. (Plain sockets only: it also works on the socket below TLS, without close_notify.)"""
        socket.socket.shutdown(self.sock, socket.SHUT_WR)

    def abort(self):
        """Ends TCP with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        """Ends TCP, as the kernel likes."""
        self.sock.close()


class Client(Stream):
    """An open WebSocket. `response` is the handshake's answer, `key` the key that was sent."""

    def __init__(self, sock, response=None, key=None, timeout=DEFAULT_TIMEOUT_S):
        super().__init__(sock, timeout)
        self.response = response
        self.key = key

    @property
    def subprotocol(self):
        return self.response.headers.get("sec-websocket-protocol", "")

    @property
    def extensions(self):
        return self.response.headers.get("sec-websocket-extensions", "")

    def send_frame(self, opcode, payload=b"", **bits):
        """One frame; `bits` as in build_frame."""
        self.send_raw(build_frame(opcode, payload, **bits))

    def send_text(self, text):
        self.send_frame(TEXT, text)

    def send_binary(self, data):
        self.send_frame(BINARY, data)

    def send_ping(self, payload=b""):
        self.send_frame(PING, payload)

    def send_pong(self, payload=b""):
        self.send_frame(PONG, payload)

    def send_close(self, code=None, reason=b""):
        self.send_frame(CLOSE, close_payload(code, reason))

    def recv_frame(self, timeout=None):
        """The next frame, whatever it is. Raises TimeoutError or ConnectionEnded."""
        deadline = self.deadline(timeout)

        def need(length):
            while len(self.buffer) < length:
                self.fill(deadline)

        need(2)
        first, second = self.buffer[0], self.buffer[1]
        masked, length, head = bool(second & 0x80), second & 0x7F, 2
        if length >= 126:
            size = 2 if length == 126 else 8
            need(2 + size)
            length, head = int.from_bytes(self.buffer[2:2 + size], "big"), 2 + size
        key_at, head = head, head + (4 if masked else 0)
        need(head + length)
        payload = bytes(self.buffer[head:head + length])
        if masked:
            payload = mask_bytes(payload, bytes(self.buffer[key_at:key_at + 4]))
        del self.buffer[:head + length]
        return Frame(first & 0x0F, payload, bool(first & 0x80), (first >> 4) & 7, masked)

    def recv_message(self, timeout=None, answer_pings=True):
        """The next whole data message as str or bytes. Pings on the way are answered unless told not to; pongs are skipped.

        A Close raises ConnectionEnded with how "close" and the payload as data.
        """
        deadline = self.deadline(timeout)
        parts, kind = [], None
        while True:
            frame = self.recv_frame(deadline - time.monotonic())
            if frame.opcode == PING:
                if answer_pings:
                    self.send_pong(frame.payload)
            elif frame.opcode == CLOSE:
                raise ConnectionEnded("close", frame.payload)
            elif frame.opcode != PONG:
                kind = frame.opcode if kind is None else kind
                parts.append(frame.payload)
                if frame.fin:
                    data = b"".join(parts)
                    return data.decode() if kind == TEXT else data

    def recv_text(self, timeout=None):
        """The next message, which must be text."""
        message = self.recv_message(timeout)
        assert isinstance(message, str), f"binary message of {len(message)} bytes"
        return message

    def recv_close(self, timeout=None, skip=()):
        """(code, reason) of the next frame, which must be a Close; frames with an opcode in `skip` may come before it."""
        deadline = self.deadline(timeout)
        while True:
            frame = self.recv_frame(deadline - time.monotonic())
            if frame.opcode not in skip:
                assert frame.opcode == CLOSE, f"a Close was expected, not {frame}"
                return frame.close

    def finish(self, code=1000, reason="", timeout=None):
        """The closing handshake from our side: sends Close, skips data and pings on the way, gives their (code, reason), ends TCP."""
        self.send_close(code, reason)
        try:
            return self.recv_close(timeout, skip=(CONTINUATION, TEXT, BINARY, PING, PONG))
        finally:
            self.close()

    def command(self, text, timeout=None):
        """Sends a command of `wsbeat-server --commands` and gives its text answer."""
        self.send_text(text)
        return self.recv_text(timeout)


def connect(port=None, path="/", *, host="127.0.0.1", unix=None, tls=None, timeout=DEFAULT_TIMEOUT_S, receive_buffer=None,
            source=None, headers=(), subprotocols=(), origin=None, extensions=None, key=None, host_header=None, server_name="localhost"):
    """Connects and shakes hands; raises HandshakeRefused with the whole answer unless it is a correct 101."""
    sock = open_socket(port, host=host, unix=unix, tls=tls, timeout=timeout, receive_buffer=receive_buffer, source=source, server_name=server_name)
    key = key or new_key()
    client = Client(sock, key=key, timeout=timeout)
    try:
        client.send_raw(request_bytes(path, host_header or host_field(host, port), key=key,
                                      headers=headers, subprotocols=subprotocols, origin=origin, extensions=extensions))
        client.response = client.recv_response()
        if client.response.status != 101:
            raise HandshakeRefused(client.response)
        if client.response.headers.get("sec-websocket-accept") != accept_key(key):
            raise HandshakeRefused(client.response, "wrong Sec-WebSocket-Accept")
        return client
    except BaseException:
        sock.close()
        raise


def http(port=None, path="/", *, method="GET", host="127.0.0.1", unix=None, tls=None, headers=(), body=b"",
         timeout=DEFAULT_TIMEOUT_S):
    """One plain HTTP request on its own connection."""
    with Stream(open_socket(port, host=host, unix=unix, tls=tls, timeout=timeout), timeout) as stream:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host_field(host, port)}", *(f"{name}: {value}" for name, value in headers)]
        stream.send_raw(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
        return stream.recv_response(method=method)


__all__ = ["BINARY", "CLOSE", "CONTINUATION", "PING", "PONG", "TEXT", "Client", "ConnectionEnded", "Frame", "HandshakeRefused", "Response",
           "Stream", "accept_key", "build_frame", "close_payload", "connect", "host_field", "http", "insecure_tls", "mask_bytes", "new_key",
           "open_socket", "request_bytes"]
