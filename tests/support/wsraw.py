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

import base64
import hashlib
import os
import socket
import ssl
import struct
import time
from dataclasses import dataclass, field

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
DEFAULT_TIMEOUT_S = 10.0
_RANDOM = object()


class ConnectionEnded(Exception):
    """The peer ended TCP where bytes were expected. `how` is "fin" or "reset"; `data` is what came before the end."""

    def __init__(self, how, data=b""):
        super().__init__(f"connection ended by {how} after {len(data)} further bytes")
        self.how = how
        self.data = data


@dataclass(frozen=True)
class Frame:
    """One frame as it was on the wire; `rsv` are the three reserved bits as a number (4 is RSV1)."""

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0
    masked: bool = False

    @property
    def close(self):
        """(code, reason) of a Close frame; code None when it carries none."""
        if len(self.payload) < 2:
            return None, ""
        return struct.unpack("!H", self.payload[:2])[0], self.payload[2:].decode()


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


# ------------------------------------------------------------------------------------------------------------ bytes


def mask_bytes(payload, key):
    """Payload XOR the repeated 4-byte key (RFC 6455, 5.3); fast enough for megabytes."""
    length = len(payload)
    pad = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(length, "big")


def build_frame(opcode, payload=b"", *, fin=True, rsv=0, mask=_RANDOM, length_bytes=None, declared_length=None):
    """One frame as bytes.

    mask: 4 bytes, None for an unmasked frame, or left out for a random key. length_bytes forces the length's encoding (1, 2 or 8
    bytes), minimal otherwise; declared_length lies about the length.
    """
    if isinstance(payload, str):
        payload = payload.encode()
    payload = bytes(payload)
    key = os.urandom(4) if mask is _RANDOM else mask
    length = len(payload) if declared_length is None else declared_length
    if length_bytes is None:
        length_bytes = 1 if length < 126 else 2 if length < 65536 else 8
    mask_bit = 0x80 if key is not None else 0
    head = bytes([(0x80 if fin else 0) | (rsv << 4) | opcode])
    if length_bytes == 1:
        head += bytes([mask_bit | length])
    elif length_bytes == 2:
        head += struct.pack("!BH", mask_bit | 126, length)
    else:
        head += struct.pack("!BQ", mask_bit | 127, length)
    return head + payload if key is None else head + key + mask_bytes(payload, key)


def close_payload(code=None, reason=b""):
    """A Close frame's payload; code None gives an empty one, reason may be bytes that are not UTF-8."""
    if isinstance(reason, str):
        reason = reason.encode()
    return b"" if code is None else struct.pack("!H", code) + reason


def accept_key(key):
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455, 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def request_bytes(path="/", host="127.0.0.1", *, key=None, headers=(), subprotocols=(), origin=None, extensions=None,
                  version="13", method="GET"):
    """A WebSocket upgrade request. `headers` are further (name, value) pairs, sent as they are."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
             f"Sec-WebSocket-Key: {key or new_key()}", f"Sec-WebSocket-Version: {version}"]
    if subprotocols:
        lines.append("Sec-WebSocket-Protocol: " + ", ".join(subprotocols))
    if origin is not None:
        lines.append(f"Origin: {origin}")
    if extensions is not None:
        lines.append(f"Sec-WebSocket-Extensions: {extensions}")
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def new_key():
    """A fresh Sec-WebSocket-Key."""
    return base64.b64encode(os.urandom(16)).decode()


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
            sock = (insecure_tls() if tls is True else tls).wrap_socket(sock, server_hostname=server_name)
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
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            raise ConnectionEnded("reset", bytes(self.buffer)) from None
        except (socket.timeout, ssl.SSLWantReadError):
            raise TimeoutError("nothing more came in time") from None
        if not data:
            raise ConnectionEnded("fin", bytes(self.buffer))
        self.buffer += data

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
        """(bytes, how): everything until the peer ends TCP, and whether it ended by "fin" or "reset"."""
        deadline = self.deadline(timeout)
        while True:
            try:
                self.fill(deadline)
            except ConnectionEnded as end:
                data = bytes(self.buffer)
                self.buffer.clear()
                return data, end.how

    def recv_end(self, timeout=None):
        """"fin" or "reset" once the peer ended TCP; AssertionError if any byte came before."""
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
            source=None, headers=(), subprotocols=(), origin=None, extensions=None, key=None, host_header=None):
    """Connects and shakes hands; raises HandshakeRefused with the whole answer unless it is a correct 101."""
    sock = open_socket(port, host=host, unix=unix, tls=tls, timeout=timeout, receive_buffer=receive_buffer, source=source)
    key = key or new_key()
    client = Client(sock, key=key, timeout=timeout)
    try:
        name = f"[{host}]" if ":" in host else host
        client.send_raw(request_bytes(path, host_header or (f"{name}:{port}" if port else "localhost"), key=key,
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
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
        stream.send_raw(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
        return stream.recv_response(method=method)
