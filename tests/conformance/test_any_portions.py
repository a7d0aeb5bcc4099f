"""The bytes of one session in any portions: in two at every byte, byte by byte, and whole random sessions in random writes; always the
same frames come back and the same end is told. A portion is read before the next is sent, so that each cut is a real one."""

import contextlib
import random
from dataclasses import dataclass, field

import pytest
import wsraw

from deflated import RSV1, Deflated
from strict import (BINARY, CLOSE, PING, PONG, TEXT, Frame, build_frame, close_payload, cut, expect_both, fragments, server_close,
                    server_frame)

FLAGS = ("--commands", "--deflate", "--close-timeout-ms", "20000")
KINDS = ("plain", "tls")
NAME = "permessage-deflate"
HELLO = bytes.fromhex("f248cdc9c90700")  # RFC 7692, 7.2.3.1


@dataclass
class Session:
    """Frames of ours, and what they bring: messages, pongs, and an end: a Close of ours (code, reason) or a failure (code, cause)."""

    frames: list
    messages: list = field(default_factory=list)
    pongs: list = field(default_factory=list)
    close: tuple = None
    failure: tuple = None
    extensions: str = None

    @property
    def data(self):
        return b"".join(self.frames)

    def judge(self, peer):
        peer.expect_both(self.messages, self.pongs)
        if self.failure:
            peer.fails(*self.failure)
        elif self.close:
            peer.answered(*self.close)
        else:
            peer.bye()


GREETING = "grüße, 漢字 \U0001f600".encode()
SESSIONS = {
    "messages and control frames": Session(
        [build_frame(TEXT, GREETING), build_frame(PING, b"p\xff"), build_frame(PONG, b"nobody asked"), build_frame(BINARY),
         build_frame(BINARY, bytes(range(130)))],
        [Frame(TEXT, GREETING), Frame(BINARY), Frame(BINARY, bytes(range(130)))], [b"p\xff"]),
    "fragments": Session(
        [*fragments(TEXT, [GREETING[:3], b"", GREETING[3:7]])[:2], build_frame(PING, b"between"), build_frame(0x0, GREETING[3:7], fin=False),
         build_frame(PING), build_frame(0x0, GREETING[7:]), *fragments(BINARY, [b"\xff", b"\xfe\xfd"])],
        [Frame(TEXT, GREETING), Frame(BINARY, b"\xff\xfe\xfd")], [b"between", b""]),
    "compressed": Session(
        [build_frame(TEXT, HELLO, rsv=RSV1), *fragments(TEXT, [HELLO[:1], b"", HELLO[1:]], rsv=RSV1), build_frame(TEXT, b"plain"),
         build_frame(PING, b"p"), build_frame(BINARY, bytes.fromhex("f200110000"), rsv=RSV1)],
        [Frame(TEXT, b"Hello"), Frame(TEXT, b"Hello"), Frame(TEXT, b"plain"), Frame(BINARY, b"Hello")], [b"p"], extensions=NAME),
    "close": Session([build_frame(CLOSE, close_payload(4321, "grüße"))], close=(4321, "grüße")),
    "empty close": Session([build_frame(CLOSE)], close=(None, "")),
    "reserved opcode": Session([build_frame(TEXT, b"good"), build_frame(PING, b"p"), build_frame(0xB, b"bad")], [Frame(TEXT, b"good")],
                               [b"p"], failure=(1002, "protocol_error")),
    "unmasked": Session([build_frame(TEXT, b"good"), build_frame(TEXT, b"bad", mask=None)], [Frame(TEXT, b"good")],
                        failure=(1002, "protocol_error")),
    "length not minimal": Session([build_frame(BINARY, b"bad", length_bytes=8)], failure=(1002, "protocol_error")),
    "too long": Session([build_frame(BINARY, b"", declared_length=1 << 40)], failure=(1009, "message_too_big")),
    "invalid text": Session([build_frame(TEXT, GREETING, fin=False), build_frame(PING, b"p"), build_frame(0x0, b"\xed\xa0")], [], [b"p"],
                            failure=(1007, "invalid_text")),
    "half a character": Session([build_frame(TEXT, b"\xf0\x9f", fin=False), build_frame(0x0, b"\x98")], failure=(1007, "invalid_text")),
    "close code": Session([build_frame(CLOSE, close_payload(1006, "bad"))], failure=(1002, "protocol_error")),
    "corrupt deflate": Session([build_frame(TEXT, HELLO, rsv=RSV1), build_frame(TEXT, b"\xff\xff", rsv=RSV1)], [Frame(TEXT, b"Hello")],
                               failure=(1007, "protocol_error"), extensions=NAME),
}


@pytest.fixture
def run(open_peer):
    """`run(session, ways)`: a connection for each way (a list of portions). What lies behind a violation is sent too: it must be swallowed."""
    def run_all(session, ways):
        peers = [open_peer(extensions=session.extensions) for _ in ways]
        fence = open_peer()
        for step in range(max(map(len, ways))):
            for peer, way in zip(peers, ways):
                if step < len(way):
                    peer.send(way[step])
            fence.alive()  # the one worker reads in the order of arrival: by now it has read all the others
        for peer in peers:
            session.judge(peer)
        fence.bye()

    return run_all


@pytest.mark.parametrize("session", SESSIONS.values(), ids=list(SESSIONS))
class TestSession:
    def test_cut_in_two_at_every_byte(self, run, session):
        run(session, [[session.data[:at], session.data[at:]] for at in range(1, len(session.data))])

    def test_byte_by_byte_and_frame_by_frame(self, run, session):
        run(session, [cut(session.data, 1), session.frames, [session.data]])


def request_and_frame(path, key):
    return wsraw.request_bytes(path, "localhost", key=key, headers=[("Origin", "http://localhost")]) + build_frame(TEXT, b"early")


def test_request_cut_in_two_at_every_byte(server, peer):
    cuts = range(1, len(request_and_frame("/000", wsraw.new_key())))
    with contextlib.ExitStack() as stack:
        clients = {at: stack.enter_context(wsraw.Client(server.socket().sock, key=wsraw.new_key())) for at in cuts}
        data = {at: request_and_frame(f"/{at:03}", clients[at].key) for at in cuts}
        for at in cuts:
            clients[at].send_raw(data[at][:at])
        peer.alive()
        for at in cuts:
            clients[at].send_raw(data[at][at:])
        for at in cuts:
            judge_early_frame(server, clients[at], at)


def judge_early_frame(server, client, at):
    response = client.recv_response()
    assert (response.status, response.headers["sec-websocket-accept"]) == (101, wsraw.accept_key(client.key))
    assert client.recv_exact(7) == server_frame(TEXT, b"early")
    opened = server.wait_event("open", path=f"/{at:03}")
    client.send_close(4000 + at, "over")
    assert client.recv_exact(4) == server_close(4000 + at)
    assert client.recv_end() == "fin"
    client.close()
    closed = server.wait_event("close", conn=opened["conn"])
    assert (closed["code"], closed["reason"], closed["clean"]) == (4000 + at, "over", True)


# ---------------------------------------------------------------------------------------------------------- random sessions


class Script:
    """A random session: frames that a client may send, and what has to come back."""

    def __init__(self, seed, deflated=None):
        self.random = random.Random(seed)
        self.deflated = deflated
        self.frames, self.messages, self.pongs = [], [], []
        for _ in range(self.random.randrange(1, 25)):
            self.random.choices([self.message, self.ping, self.pong], [6, 2, 1])[0]()

    def ping(self):
        payload = self.random.randbytes(self.random.choice([0, 1, 8, 125]))
        self.frames.append(build_frame(PING, payload))
        self.pongs.append(payload)

    def pong(self):
        self.frames.append(build_frame(PONG, self.random.randbytes(self.random.randrange(126))))

    def message(self):
        opcode = self.random.choice([TEXT, BINARY])
        payload = self.payload(opcode)
        compressed = self.deflated is not None and self.random.random() < 0.7
        data = self.deflated.compress(payload) if compressed else payload
        frames = fragments(opcode, self.pieces(data), rsv=RSV1 if compressed else 0)
        for frame in frames[:-1]:
            self.frames.append(frame)
            if self.random.random() < 0.2:
                self.ping()
        self.frames.append(frames[-1])
        self.messages.append((opcode, payload))

    def payload(self, opcode):
        size = self.random.choice([0, 1, 3, 125, 126, 255, 256, 1000, 4096, 65535, 65536, 70000])
        if opcode == BINARY:
            return self.random.choice([self.random.randbytes(size), bytes(size)])
        return "".join(self.random.choices("a\x00\n ß€漢\uffff\U0001f600\U0010ffff", k=size // 2)).encode()

    def pieces(self, data):
        cuts = sorted(self.random.randrange(len(data) + 1) for _ in range(self.random.choice([0, 0, 1, 2, 10])))
        return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)])]

    def writes(self):
        """The frames as writes, most of them long, some of one byte."""
        data, at = b"".join(self.frames), 0
        while at < len(data):
            size = self.random.choice([1, 2, 5, 14, 100, 1460, 16384, 1 << 20])
            yield data[at:at + size]
            at += size

    def end(self, peer):
        """One of the ways to end, judged."""
        how = self.random.randrange(4)
        if how == 0:
            code = self.random.choice([1000, 1001, 1003, 1014, 3000, 4999])
            peer.bye(code, self.random.choice(["", "bye", "漢" * 41]))
        elif how == 1:
            peer.client.send_close()
            peer.answered(None)
        elif how == 2:
            peer.send(self.random.choice([build_frame(0x3), build_frame(0x0), build_frame(BINARY, rsv=1), build_frame(PING, b"x" * 126),
                                          build_frame(TEXT, mask=None)]))
            peer.fails(1002)
        else:
            peer.send(build_frame(TEXT, b"/close 4000 over"))
            peer.expect(server_close(4000, "over"))
            peer.client.send_close(4001, "and out")
            peer.expect_end(b"")
            peer.closed(code=4001, reason="and out", code_sent=4000, clean=True, initiator="local", cause="local_close")


@pytest.mark.parametrize("seed", range(40))
def test_random_session(open_peer, seed):
    peer = open_peer()
    script = Script(seed)
    for data in script.writes():
        peer.send(data)
    expect_both(peer.client, [Frame(opcode, payload) for opcode, payload in script.messages], script.pongs)
    script.end(peer)


OFFERS = ["", "; server_no_context_takeover", "; client_no_context_takeover", "; server_max_window_bits=9; client_max_window_bits=10"]


@pytest.mark.parametrize("seed", range(40))
def test_random_session_with_compression(open_peer, seed):
    peer = open_peer(extensions=NAME + OFFERS[seed % len(OFFERS)])
    deflated = Deflated(peer)
    script = Script(seed, deflated)
    for data in script.writes():
        peer.send(data)
    messages, pongs = [], []
    while len(messages) + len(pongs) < len(script.messages) + len(script.pongs):
        frame = peer.client.recv_frame()
        if frame.opcode == PONG:
            assert (frame.rsv, frame.fin) == (0, True)
            pongs.append(frame.payload)
        else:
            messages.append(deflated.take(frame)[:2])
    assert messages == script.messages
    assert pongs == script.pongs
    script.end(peer)
