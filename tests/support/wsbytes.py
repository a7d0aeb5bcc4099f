"""What a WebSocket client puts on the wire, as bytes: frames, Close payloads, upgrade requests. No sockets: those are in wsraw.py."""

import base64
import hashlib
import os
import struct
from dataclasses import dataclass

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_RANDOM = object()


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


def host_field(host, port):
    """What a client that connected there says in Host."""
    name = f"[{host}]" if ":" in host else host
    return f"{name}:{port}" if port else "localhost"


def new_key():
    """A fresh Sec-WebSocket-Key."""
    return base64.b64encode(os.urandom(16)).decode()
