"""The client's side of permessage-deflate (RFC 7692) on zlib: messages in both directions as exact bytes."""

import zlib

from strict import BINARY, TEXT, Frame, build_frame, cut, fragments, server_frame

RSV1 = 4
TAIL = b"\x00\x00\xff\xff"
THRESHOLD_BYTES = 256  # the server sends smaller messages as they are


def parameters(value):
    """A permessage-deflate answer as {parameter: value or None}; every deviation from the grammar raises."""
    name, *parts = [part.strip() for part in value.split(";")]
    assert name == "permessage-deflate", value
    found = {}
    for part in parts:
        key, equals, text = part.partition("=")
        assert key not in found, f"{key} twice in {value}"
        found[key] = text if equals else None
    return found


class Deflated:
    """A peer that has agreed on permessage-deflate; one codec for each direction, as the answer says."""

    def __init__(self, peer):
        self.peer = peer
        agreed = parameters(peer.client.extensions)
        self.client_bits = int(agreed.get("client_max_window_bits") or 15)
        self.server_bits = int(agreed.get("server_max_window_bits") or 15)
        self.client_forgets = "client_no_context_takeover" in agreed
        self.server_forgets = "server_no_context_takeover" in agreed
        self.deflater = self.inflater = None

    def compress(self, payload, level=6, bits=None):
        """One message's compressed payload, without the tail (7.2.1). zlib makes 9 bits of 8."""
        if self.deflater is None or self.client_forgets:
            self.deflater = zlib.compressobj(level, zlib.DEFLATED, -(bits or max(self.client_bits, 9)))
        data = self.deflater.compress(payload) + self.deflater.flush(zlib.Z_SYNC_FLUSH)
        assert data.endswith(TAIL)
        return data[:-len(TAIL)]

    def decompress(self, payload):
        """One message's payload; the window is not larger than agreed, so a server that looks further back is caught."""
        if self.inflater is None or self.server_forgets:
            self.inflater = zlib.decompressobj(-self.server_bits)
        data = self.inflater.decompress(payload + TAIL)
        assert not self.inflater.unused_data
        return data

    def send(self, opcode, payload, fragment=0):
        """One compressed message, in frames of at most `fragment` bytes."""
        data = self.compress(payload)
        self.peer.send(*fragments(opcode, cut(data, fragment) if fragment else [data], rsv=RSV1))

    def receive(self, timeout=None):
        """The next message: (opcode, payload, bytes on the wire)."""
        return self.take(self.peer.client.recv_frame(timeout))

    def take(self, frame):
        """The same of a frame that was read. Compressed from the threshold on, never below."""
        assert frame.fin and not frame.masked and frame.opcode in (TEXT, BINARY), frame
        if frame.rsv == 0:
            assert len(frame.payload) < THRESHOLD_BYTES, "a large message came uncompressed"
            return frame.opcode, frame.payload, len(frame.payload)
        assert frame.rsv == RSV1, frame
        payload = self.decompress(frame.payload)
        assert len(payload) >= THRESHOLD_BYTES, "a small message came compressed"
        return frame.opcode, payload, len(frame.payload)

    def echo(self, opcode, payload, fragment=0):
        """Sent compressed, received as the server likes; gives the size on the wire."""
        self.send(opcode, payload, fragment)
        got_opcode, got, size = self.receive(30)
        assert got_opcode == opcode
        assert got == payload, f"{len(got)} bytes came back instead of {len(payload)}, or others"
        return size


__all__ = ["BINARY", "Deflated", "Frame", "RSV1", "TAIL", "TEXT", "THRESHOLD_BYTES", "build_frame", "cut", "fragments",
           "parameters",
           "server_frame"]
