"""RFC 6455, 5.5.2 and 5.5.3: every ping has its pong, in order, whatever else is going on; pongs that nobody asked for are ignored."""

import os
import select
import ssl

import pytest

from strict import BINARY, PING, PONG, QUIET_S, TEXT, Frame, build_frame, fragments, server_frame

FLAGS = ("--commands",)
KINDS = ("plain", "tls")
PAYLOADS = [b"", b"Hello, world!", bytes.fromhex("00fffefdfcfb00ff"), b"\xfe" * 124, b"\xfe" * 125]


@pytest.mark.parametrize("payload", PAYLOADS, ids=len)
@pytest.mark.parametrize("chopped", [False, True])
def test_pong_carries_the_payload(peer, payload, chopped):
    ping = build_frame(PING, payload)
    peer.chop(ping, 1 if chopped else len(ping))
    peer.expect(server_frame(PONG, payload))
    peer.bye()


@pytest.mark.parametrize("opcode", [PING, PONG, 0x8])
@pytest.mark.parametrize("size", [126, 127, 65535, 65536])
def test_control_frame_over_125(peer, opcode, size):
    peer.send(build_frame(opcode, b"\xfe" * size))
    peer.fails(1002)


@pytest.mark.parametrize("opcode", [PING, PONG, 0x8])
@pytest.mark.parametrize("length_code", [126, 127])
def test_long_control_frame_is_seen_at_its_second_byte(peer, opcode, length_code):
    peer.send(bytes([0x80 | opcode, 0x80 | length_code]))
    peer.fails(1002)


@pytest.mark.parametrize("payload", [b"", b"unsolicited", b"\xff" * 125], ids=len)
def test_unsolicited_pong_is_ignored(peer, payload):
    peer.send_frame(PONG, payload)
    peer.alive()
    peer.bye()


def test_unsolicited_pongs_and_a_ping(peer):
    peer.send(*(build_frame(PONG, b"nobody asked") for _ in range(50)), build_frame(PING, b"but now"))
    peer.expect(server_frame(PONG, b"but now"))
    peer.bye()


@pytest.mark.parametrize("chopped", [False, True])
def test_ten_pings(peer, chopped):
    pings = b"".join(build_frame(PING, b"payload-%d" % n) for n in range(10))
    peer.chop(pings, 1 if chopped else len(pings))
    peer.expect(*(server_frame(PONG, b"payload-%d" % n) for n in range(10)))
    peer.bye()


@pytest.mark.parametrize("size", [4, 125])
def test_a_thousand_pings_at_once(peer, size):
    payloads = [n.to_bytes(4, "big") + os.urandom(size - 4) for n in range(1000)]
    peer.send(*(build_frame(PING, payload) for payload in payloads))
    peer.expect(*(server_frame(PONG, payload) for payload in payloads))
    peer.bye()


def test_more_pongs_than_any_buffer_holds(peer):
    """2 MB of pings, their pongs read only when nothing more can be sent: a server that cannot write stops reading and drops nothing."""
    payloads = [n.to_bytes(4, "big") + b"p" * 121 for n in range(16000)]
    frames = b"".join(build_frame(PING, payload) for payload in payloads)
    wanted = b"".join(server_frame(PONG, payload) for payload in payloads)
    assert send_first_read_later(peer.client.sock, frames, len(wanted)) == wanted
    peer.bye()


def send_first_read_later(sock, data, wanted_bytes):
    """Sends as long as the socket takes anything, and reads when it has taken nothing for a while."""
    sent, got = 0, bytearray()
    sock.setblocking(False)
    while len(got) < wanted_bytes:
        try:
            if sent < len(data) and select.select([], [sock], [], QUIET_S)[1]:
                sent += sock.send(data[sent:sent + 16384])
                continue
        except (BlockingIOError, ssl.SSLWantWriteError):
            pass
        try:
            got += sock.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError):
            if not select.select([sock], [], [], 5)[0]:
                raise AssertionError(f"stuck after {len(got)} of {wanted_bytes} bytes, {sent} of {len(data)} sent") from None
    return bytes(got)


def test_pings_between_fragments(peer):
    frames = fragments(TEXT, [b"fragment%d" % n for n in range(20)])
    mixed = b"".join(frame + build_frame(PING, b"ping%d" % n) for n, frame in enumerate(frames))
    peer.send(mixed)
    peer.expect_both([Frame(TEXT, b"".join(b"fragment%d" % n for n in range(20)))], [b"ping%d" % n for n in range(20)])
    peer.bye()


def test_messages_and_pings_in_one_write(peer):
    peer.send(*(build_frame(BINARY, b"m%d" % n) + build_frame(PING, b"p%d" % n) for n in range(500)))
    peer.expect_both([Frame(BINARY, b"m%d" % n) for n in range(500)], [b"p%d" % n for n in range(500)])
    peer.bye()


def test_pongs_under_a_flood(open_peer):
    """The server has 40 MB to send and we read slowly: the pongs pass what is queued, in order, and data stays whole."""
    peer = open_peer(receive_buffer=16384)
    count, size = 2000, 20000
    peer.send_frame(TEXT, f"/flood {count} {size}")
    peer.send(*(frame + build_frame(PING, b"under flood %d" % n)
                for n, frame in enumerate(fragments(BINARY, [b"part%d" % n for n in range(10)]))))
    pongs, data, ahead = [], [], None
    while len(data) < count + 1:
        frame = peer.client.recv_frame()
        (pongs if frame.opcode == PONG else data).append(frame)
        if len(pongs) == 10 and ahead is None:
            ahead = len(data)
    assert pongs == [Frame(PONG, b"under flood %d" % n) for n in range(10)]
    assert ahead < count / 2, "the pongs waited for the flood"
    assert data.count(Frame(BINARY, b"".join(b"part%d" % n for n in range(10)))) == 1
    assert data.count(Frame(BINARY, b"f" * size)) == count
    peer.bye()


def test_ping_of_the_server(peer):
    """Its ping is a legal one and our pong is seen; a pong with another payload is none."""
    peer.send_frame(TEXT, b"/ping")
    frame = peer.client.recv_frame()
    assert (frame.opcode, frame.fin, frame.rsv, frame.masked) == (PING, True, 0, False)
    assert len(frame.payload) <= 125
    peer.send_frame(PONG, frame.payload)
    event = peer.server.wait_event("pong", start=peer.start, conn=peer.conn)
    assert event["rtt_us"] > 0
    peer.bye()


def test_heartbeat_pings_are_legal_frames(start_server, open_peer):
    peer = open_peer(on=start_server("--heartbeat-ms", "100", "--heartbeat-timeout-ms", "90"))
    seen = set()
    for _ in range(3):
        frame = peer.client.recv_frame()
        assert (frame.opcode, frame.fin, frame.rsv, frame.masked, len(frame.payload)) == (PING, True, 0, False, 8)
        seen.add(frame.payload)
        peer.send_frame(PONG, frame.payload)
    assert len(seen) == 3
