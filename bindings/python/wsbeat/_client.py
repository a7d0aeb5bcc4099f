"""A WebSocket client that is just enough for `check`: blocking, one connection, no extensions."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import ssl
import time
from collections.abc import Collection, Sequence
from typing import Optional
from urllib.parse import urlsplit

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
MAX_HEAD_BYTES = 64 * 1024
MAX_FRAME_BYTES = 64 * 1024 * 1024


class CheckError(Exception):
    """The connection could not be made, or broke."""

    def __init__(self, text: str, before_open: bool = False) -> None:
        super().__init__(text)
        self.before_open = before_open


class Client:
    """Connects when it is made. Pings of the server are answered, and kept in `pings`."""

    def __init__(self, url: str, timeout: float, insecure: bool = False, subprotocols: Sequence[str] = ()) -> None:
        self.timeout = timeout
        self.pings: list[bytes] = []
        self.subprotocol = ""
        self._buffer = bytearray()
        self._ended = False
        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "wss" else 80)
        except ValueError as error:
            raise CheckError(f"{url}: {error}", True) from None
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise CheckError(f"{url}: not a ws:// or wss:// URL", True)
        started = time.monotonic()
        try:
            self._socket = socket.create_connection((parts.hostname, port), timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if parts.scheme == "wss":
                context = ssl.create_default_context()
                if insecure:
                    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                self._socket = context.wrap_socket(self._socket, server_hostname=parts.hostname)
        except (OSError, ValueError) as error:
            raise CheckError(f"{parts.hostname} port {port}: {error}", True) from None
        self.connect_time = time.monotonic() - started
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            self._shake_hands(parts.netloc.rpartition("@")[2], target, parts.username, parts.password, subprotocols)
        except BaseException:
            self._socket.close()
            raise
        self.handshake_time = time.monotonic() - started - self.connect_time

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    # ------------------------------------------------------------------------------------------------------------ handshake

    def _shake_hands(self, host: str, target: str, user: Optional[str], password: Optional[str], subprotocols: Sequence[str]) -> None:
        key = base64.b64encode(os.urandom(16))
        lines = [f"GET {target} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key.decode()}", "Sec-WebSocket-Version: 13"]
        if subprotocols:
            lines.append(f"Sec-WebSocket-Protocol: {', '.join(subprotocols)}")
        if user is not None:
            lines.append("Authorization: Basic " + base64.b64encode(f"{user}:{password or ''}".encode()).decode())
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        deadline = time.monotonic() + self.timeout
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > MAX_HEAD_BYTES or not self._fill(deadline):
                raise CheckError("no HTTP answer to the handshake", True)
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        first, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        if first.split(" ")[1:2] != ["101"]:
            raise CheckError(f"the handshake was refused: {first}", True)
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        if headers.get("sec-websocket-accept") != accept:
            raise CheckError("the handshake was answered with a wrong Sec-WebSocket-Accept", True)
        self.subprotocol = headers.get("sec-websocket-protocol", "")

    # --------------------------------------------------------------------------------------------------------------- frames

    def send(self, opcode: int, payload: bytes) -> None:
        """One whole control frame, masked (RFC 6455, 5.3)."""
        key = os.urandom(4)
        masked = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
        try:
            self._socket.sendall(bytes([0x80 | opcode, 0x80 | len(payload)]) + key + masked)
        except OSError as error:
            raise CheckError(f"the connection broke: {error}") from None

    def send_close(self, code: int, reason: str) -> None:
        self.send(CLOSE, code.to_bytes(2, "big") + reason.encode())

    def receive_until(self, opcodes: Collection[int], patience: float) -> Optional[tuple[int, bytes]]:
        """The next frame with one of these opcodes, as (opcode, payload); None if none comes in time."""
        deadline = time.monotonic() + patience
        while True:
            frame = self._frame(deadline)
            if frame is None:
                if self._ended:
                    raise CheckError("TCP ended without a Close frame")
                return None
            if frame[0] == PING:
                self.send(PONG, frame[1])
                if PING not in opcodes:
                    self.pings.append(frame[1])
            if frame[0] in opcodes:
                return frame
            if frame[0] == CLOSE:
                raise CheckError("the server closed the connection unasked")

    def wait_for_end(self, patience: float) -> bool:
        """Whether the server ends TCP in time."""
        deadline = time.monotonic() + patience
        while self._fill(deadline):
            pass
        return self._ended

    def _frame(self, deadline: float) -> Optional[tuple[int, bytes]]:
        while (size := self._frame_size()) is None or len(self._buffer) < size[0] + size[1]:
            if not self._fill(deadline):
                return None
        head, length = size
        frame = self._buffer[0] & 0x0F, bytes(self._buffer[head:head + length])
        del self._buffer[:head + length]
        return frame

    def _frame_size(self) -> Optional[tuple[int, int]]:
        """Bytes of header and payload of the frame that begins the buffer."""
        if len(self._buffer) < 2:
            return None
        if self._buffer[1] & 0x80:
            raise CheckError("the server masks its frames")
        length = self._buffer[1] & 0x7F
        extended = {126: 2, 127: 8}.get(length, 0)
        if len(self._buffer) < 2 + extended:
            return None
        if extended:
            length = int.from_bytes(self._buffer[2:2 + extended], "big")
        if length > MAX_FRAME_BYTES:
            raise CheckError(f"the server sent a frame of {length} bytes")
        return 2 + extended, length

    def _fill(self, deadline: float) -> bool:
        """Reads once. False: nothing came in time, or TCP has ended."""
        remaining = deadline - time.monotonic()
        if self._ended or remaining <= 0:
            return False
        self._socket.settimeout(remaining)
        try:
            data = self._socket.recv(65536)
        except (TimeoutError, socket.timeout, ssl.SSLWantReadError):
            return False
        except OSError:
            data = b""
        self._ended = not data
        self._buffer += data
        return bool(data)
