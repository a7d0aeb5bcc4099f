"""One connection under test together with the server's view of it: exact bytes on the wire, and the exact close event.

Nothing here is lenient: bytes are compared as a whole, the stream must end with a FIN, and every field of the close event is named.
"""

import time

from wsraw import BINARY, CLOSE, PING, PONG, TEXT, Frame, build_frame, close_payload

CLOSE_FIELDS = ("code", "reason", "code_sent", "clean", "initiator", "cause")
END_TIMEOUT_S = 4.0  # below the default close timeout of 5 s: an end that waited for our answer would be seen
QUIET_S = 0.15       # for the few cases that must see nothing happen


def server_frame(opcode, payload=b"", **bits):
    """The bytes with which a server sends this frame: not masked, shortest length."""
    return build_frame(opcode, payload, mask=None, **bits)


def server_close(code=None, reason=""):
    return server_frame(CLOSE, close_payload(code, reason))


def fragments(opcode, pieces, **bits):
    """One message as client frames, a frame for each piece; `bits` go to the first."""
    last = len(pieces) - 1
    return [build_frame(opcode if at == 0 else 0, piece, fin=at == last, **(bits if at == 0 else {}))
            for at, piece in enumerate(pieces)]


def cut(data, size):
    """Data in pieces of this size."""
    return [data[at:at + size] for at in range(0, len(data), size)]


def expect_both(client, messages, pongs, timeout=None):
    """Frames `messages` in order and pongs with the payloads `pongs` in order, mixed in any way, all exact."""
    got = [client.recv_frame(timeout) for _ in range(len(messages) + len(pongs))]
    assert [frame for frame in got if frame.opcode == PONG] == [Frame(PONG, payload) for payload in pongs]
    assert [frame for frame in got if frame.opcode != PONG] == messages


class Peer:
    """An open connection. Options as wsraw.connect."""

    def __init__(self, server, **options):
        self.server = server
        self.start = server.mark()
        self.client, self.opened = server.connect_open(**options)
        self.conn = self.opened["conn"]

    # ------------------------------------------------------------------------------------------------------ sending

    def send(self, *parts):
        """Frames or other bytes, in one write."""
        self.client.send_raw(b"".join(parts))

    def chop(self, data, size=1):
        """The same bytes in pieces, a write for each."""
        for piece in cut(data, size):
            self.client.send_raw(piece)

    def send_frame(self, opcode, payload=b"", **bits):
        self.client.send_frame(opcode, payload, **bits)

    # ---------------------------------------------------------------------------------------------------- expecting

    def expect(self, *parts, timeout=None):
        """Exactly these bytes come next."""
        wanted = b"".join(parts)
        got = self.client.recv_exact(len(wanted), timeout)
        if got != wanted:  # not an assert of both: megabytes of difference help nobody
            at = next(at for at in range(len(wanted)) if got[at] != wanted[at])
            raise AssertionError(f"byte {at} of {len(wanted)}: got {got[at:at + 40]!r}, wanted {wanted[at:at + 40]!r}")

    def expect_both(self, messages, pongs, timeout=None):
        """These messages in order and these pongs in order; a pong may pass messages, as control frames do (5.5)."""
        expect_both(self.client, messages, pongs, timeout)

    def echo(self, opcode, payload, timeout=None):
        """Sends one message in one frame and expects it back, byte for byte."""
        self.send_frame(opcode, payload)
        self.expect(server_frame(opcode, payload), timeout=timeout)

    def alive(self, mark=b"alive?"):
        """A ping is answered, and nothing came before its pong: all that was sent so far has been judged and found good."""
        self.send_frame(PING, mark)
        self.expect(server_frame(PONG, mark))

    def quiet(self):
        """Nothing comes, not even an end."""
        assert self.client.silent(QUIET_S), f"something came: {bytes(self.client.buffer)[:80]!r}"

    # -------------------------------------------------------------------------------------------------------- ends

    def bye(self, code=1000, reason="bye"):
        """A clean closing handshake that we begin."""
        self.client.send_close(code, reason)
        self.answered(code, reason)

    def answered(self, code, reason="", before=b""):
        """Our Close is answered with its code and nothing else, TCP ends, and the event says so. `before` comes ahead of the answer."""
        self.expect_end(before + server_close(code))
        self.closed(code=1005 if code is None else code, reason=reason, code_sent=1005 if code is None else code,
                    clean=True, initiator="remote", cause="peer_close")

    def fails(self, code=1002, cause="protocol_error", before=b""):
        """The server fails the connection: `before`, one Close with this code, FIN, without our answering anything."""
        self.close_then_fin(code, before)
        self.client.close()
        self.failed(code, cause)

    def failed(self, code, cause):
        self.closed(code=1006, reason="", code_sent=code, clean=False, initiator="local", cause=cause)

    def close_then_fin(self, code, before=b""):
        """The same on the wire alone. The reason is for people: any short valid text."""
        self.expect(before)
        frame = self.client.recv_frame(END_TIMEOUT_S)
        assert (frame.opcode, frame.fin, frame.rsv, frame.masked) == (CLOSE, True, 0, False), frame
        assert frame.close[0] == code, frame
        assert len(frame.payload) <= 125
        assert self.client.recv_end(END_TIMEOUT_S) == "fin"

    def expect_end(self, last):
        """Exactly these last bytes, then FIN."""
        self.expect(last)
        assert self.client.recv_end(END_TIMEOUT_S) == "fin"
        self.client.close()

    def closed(self, **fields):
        """The close event, all fields."""
        assert set(fields) == set(CLOSE_FIELDS)
        event = self.server.wait_event("close", start=self.start, conn=self.conn)
        assert {name: event[name] for name in CLOSE_FIELDS} == fields


def within(seconds):
    """with within(2): ... fails when the block took longer."""
    return _Within(seconds)


class _Within:
    def __init__(self, seconds):
        self.seconds = seconds

    def __enter__(self):
        self.begun = time.monotonic()

    def __exit__(self, kind, *_):
        if kind is None:
            took = time.monotonic() - self.begun
            assert took <= self.seconds, f"took {took:.2f} s instead of at most {self.seconds} s"


__all__ = ["BINARY", "CLOSE", "PING", "PONG", "QUIET_S", "TEXT", "Frame", "Peer", "build_frame", "close_payload", "cut", "expect_both",
           "fragments", "server_close", "server_frame", "within"]
