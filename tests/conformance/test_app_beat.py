"""Application beats (docs/heartbeat.md): exact bytes for those who asked, and not one for anybody else."""

import pytest

from strict import BINARY, TEXT, Frame, build_frame, fragments, server_frame

INTERVAL_MS = 100
FLAGS = ("--commands", "--app-beat-ms", INTERVAL_MS, "--subprotocols", "v2.0")
KINDS = ("plain", "tls")
BEAT = Frame(TEXT, b"\x16100")
SILENCE_S = 3.5 * INTERVAL_MS / 1000
ASKING = "/?wsbeat-beat=1"
HANDSHAKE = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
             ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Protocol", "wsbeat.beat.v1")]


def bye(peer):
    """A clean end that we begin, with beats before it."""
    peer.client.send_close(1000, "bye")
    assert peer.client.recv_close(skip=(TEXT,)) == (1000, "")
    peer.closed(code=1000, reason="bye", code_sent=1000, clean=True, initiator="remote", cause="peer_close")


def messages(peer, count):
    """So many messages, in order, without the beats between them; and how many of those there were."""
    got, beats = [], 0
    while len(got) < count:
        frame = peer.client.recv_frame()
        if frame == BEAT:
            beats += 1
        else:
            got.append(frame)
    return got, beats


@pytest.mark.parametrize("path", ["/", "/?wsbeat-beat=0", "/?wsbeat-beat", "/?WSBEAT-BEAT=1", "/?beat=1", "/wsbeat-beat=1"])
@pytest.mark.parametrize("subprotocols", [[], ["v2.0", "wsbeat.beat.v2", "WSBEAT.BEAT.V1"]], ids=len)
def test_nobody_who_did_not_ask_gets_one(open_peer, path, subprotocols):
    peer = open_peer(path=path, subprotocols=subprotocols)
    assert peer.client.silent(SILENCE_S), f"something came: {bytes(peer.client.buffer)!r}"
    peer.alive()
    peer.bye()


@pytest.mark.parametrize("options, chosen", [
    ({"path": "/?a=b&wsbeat-beat=1"}, ""),
    ({"path": "/?wsbeat%2Dbeat=1", "subprotocols": ["v2.0"]}, "v2.0"),
    ({"subprotocols": ["wsbeat.beat.v1", "v2.0"]}, "v2.0"),
    ({"subprotocols": ["other", "wsbeat.beat.v1"]}, "wsbeat.beat.v1"),
], ids=str)
def test_those_who_asked(open_peer, options, chosen):
    """The one that greets, then one each interval, byte for byte."""
    peer = open_peer(**options)
    assert (peer.client.subprotocol or "", peer.opened["subprotocol"]) == (chosen, chosen)
    peer.expect(server_frame(TEXT, b"\x16100") * 5)
    bye(peer)


def test_echoes_are_whole_and_in_order_among_beats(open_peer):
    peer = open_peer(path=ASKING)
    sent = [Frame(BINARY, bytes([number]) * (number * 1000)) for number in range(60)]
    seen = 0
    for frame in sent:
        peer.send_frame(BINARY, frame.payload)
        got, beats = messages(peer, 1)
        assert got == [frame]
        seen += beats
    while seen < 4:
        assert peer.client.recv_frame() == BEAT
        seen += 1
    bye(peer)


def test_our_fragments_are_not_disturbed(open_peer):
    """Beats are the server's messages: they may come while ours is under way."""
    peer = open_peer(path=ASKING)
    first, *rest = fragments(TEXT, ["one ", "two ", "three"])
    peer.send(first)
    for piece in rest:
        assert peer.client.recv_frame() == BEAT
        peer.send(piece)
    assert messages(peer, 1)[0] == [Frame(TEXT, b"one two three")]
    bye(peer)


def test_a_flood_is_whole(open_peer):
    peer = open_peer(path=ASKING)
    peer.client.send_text("/flood 40 100000")
    assert messages(peer, 40)[0] == [Frame(BINARY, b"f" * 100000)] * 40
    bye(peer)


def test_a_violation_ends_it_as_always(open_peer):
    peer = open_peer(path=ASKING)
    assert peer.client.recv_frame() == BEAT
    peer.send(build_frame(TEXT, b"\xff"))
    assert peer.client.recv_close(skip=(TEXT,))[0] == 1007
    peer.failed(1007, "invalid_text")


def test_without_the_flag_nobody_gets_one(start_server, open_peer):
    peer = open_peer(on=start_server("--commands"), path=ASKING, subprotocols=["wsbeat.beat.v1"])
    assert not peer.client.subprotocol
    assert peer.client.silent(SILENCE_S)
    peer.bye()


def test_a_subprotocol_that_is_required_is_still_required(start_server):
    server = start_server("--app-beat-ms", 50, "--subprotocols", "v2.0", "--require-subprotocol")
    refused = server.http("/", headers=HANDSHAKE)
    assert (refused.status, refused.headers["sec-websocket-protocol"]) == (400, "v2.0")
    with server.connect(subprotocols=["wsbeat.beat.v1", "v2.0"]) as client:
        assert client.subprotocol == "v2.0" and client.recv_frame() == Frame(TEXT, b"\x1650")
