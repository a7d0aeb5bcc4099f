"""A representative part of the cases over TLS, IPv6 and a Unix socket: other sockets below, the same bytes above."""

import os
import signal
import ssl

import certificates
import pytest
from server import Server
from wsraw import http

from deflated import Deflated
from raw_http import refusal, upgrade
from strict import (BINARY, CLOSE, PING, TEXT, Frame, Peer, build_frame, close_payload, cut, fragments, server_close,
                    server_frame)

TRANSPORTS = ["tls", "tls 1.2", "ipv6", "tls on ipv6", "unix"]


@pytest.fixture(scope="module", params=TRANSPORTS)
def server(request, tmp_path_factory):
    flags, host = ["--commands", "--deflate", "--heartbeat-ms", "off"], "127.0.0.1"
    directory = tmp_path_factory.mktemp("transport")
    if "tls" in request.param:
        certificate, key = certificates.make(directory)
        flags += ["--tls-cert", certificate, "--tls-key", key]
    if "ipv6" in request.param:
        host = "::1"
        flags += ["--host", host]
    if request.param == "unix":
        flags += ["--unix", directory / "socket"]
    with Server(*flags, host=host) as server:
        if request.param == "tls 1.2":
            server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            server.tls.check_hostname, server.tls.verify_mode = False, ssl.CERT_NONE
            server.tls.maximum_version = ssl.TLSVersion.TLSv1_2
        yield server
        assert server.stop() == 0, server.stderr


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 1 << 20])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_echo(peer, opcode, size):
    peer.echo(opcode, b"x" * size if opcode == TEXT else os.urandom(size))
    peer.bye()


def test_octet_by_octet(peer):
    peer.chop(build_frame(TEXT, b"x" * 200))
    peer.expect(server_frame(TEXT, b"x" * 200))
    peer.bye()


def test_fragments_and_pings(peer):
    frames = fragments(BINARY, cut(b"fragment" * 1000, 100))
    peer.send(*(frame + build_frame(PING, b"%d" % n) for n, frame in enumerate(frames)))
    peer.expect_both([Frame(BINARY, b"fragment" * 1000)], [b"%d" % n for n in range(len(frames))])
    peer.bye()


def test_a_thousand_pings(peer):
    peer.send(*(build_frame(PING, b"%d" % n) for n in range(1000)))
    peer.expect_both([], [b"%d" % n for n in range(1000)])
    peer.bye()


@pytest.mark.parametrize("frame,code,cause",
                         [(build_frame(3), 1002, "protocol_error"),
                          (build_frame(TEXT, b"x", mask=None), 1002, "protocol_error"),
                          (build_frame(TEXT, b"\xff"), 1007, "invalid_text"),
                          (build_frame(BINARY, b"x" * ((1 << 20) + 1)), 1009, "message_too_big")],
                         ids=["opcode", "unmasked", "utf-8", "too big"])
def test_violation(peer, frame, code, cause):
    peer.send(frame)
    peer.fails(code, cause)


@pytest.mark.parametrize("code", [1000, 1014, 4999, None])
def test_they_close(peer, code):
    peer.client.send_close(code)
    peer.answered(code)


def test_we_close(peer):
    peer.send_frame(TEXT, b"/close 4000 over")
    peer.expect(server_close(4000, "over"))
    peer.client.send_close(4001, "and out")
    peer.expect_end(b"")
    peer.closed(code=4001, reason="and out", code_sent=4000, clean=True, initiator="local", cause="local_close")


def test_close_under_a_flood(peer):
    peer.send_frame(TEXT, b"/flood 1000 100000")
    for _ in range(5):
        assert len(peer.client.recv_frame().payload) == 100000
    peer.client.send_close(3000, "enough")
    while (frame := peer.client.recv_frame()).opcode == BINARY:
        assert len(frame.payload) == 100000
    assert frame == Frame(CLOSE, close_payload(3000))
    assert peer.client.recv_end() == "fin"
    peer.closed(code=3000, reason="enough", code_sent=3000, clean=True, initiator="remote", cause="peer_close")


def test_flood_arrives_whole(peer):
    peer.send_frame(TEXT, b"/flood 200 65536")
    for _ in range(200):
        assert peer.client.recv_frame() == Frame(BINARY, b"f" * 65536)
    peer.bye()


def test_abort(peer):
    peer.send_frame(TEXT, b"/abort")
    data, how = peer.client.recv_all()
    assert (data, how) in [(b"", "reset"), (b"", "fin")]  # a Unix socket has no reset
    peer.closed(code=1006, reason="", code_sent=0, clean=False, initiator="local", cause="local_close")


def test_deflate(open_peer):
    peer = open_peer(extensions="permessage-deflate; client_max_window_bits")
    deflated = Deflated(peer)
    for size in (0, 10, 1000, 100000):
        deflated.echo(BINARY, os.urandom(size) + bytes(size))
    peer.bye()


def test_request_head(server):
    refusal(server, upgrade("Folded: a", " b"), 400, "bad_request")
    refusal(server, upgrade(line="GET / HTTP/1.0"), 505, "bad_request")
    refusal(server, upgrade("X: " + "x" * 9000), 431, "header_too_big")


def test_peer_address(server, peer):
    assert peer.opened["peer"] == ("unix" if server.unix else server.host)


def test_plain_http(server):
    assert server.http("/healthz").body == b"ok\n"


def test_plain_bytes_at_a_tls_port(server):
    """No answer is possible; the server neither hangs nor falls."""
    if not server.tls:
        assert http(server.port, "/healthz", host=server.host, unix=server.unix).status == 200
        return
    with server.socket(tls=False) as stream:
        stream.send_raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        data, _ = stream.recv_all(5)
    assert not data.startswith(b"HTTP")
    assert server.http("/healthz").status == 200


def test_stop(server):
    """The last case here: every transport says 1001."""
    peer = Peer(server)
    server.send_signal(signal.SIGTERM)
    peer.expect(server_close(1001, "server is closing"))
    peer.client.send_close(1001)
    peer.expect_end(b"")
    peer.closed(code=1001, reason="", code_sent=1001, clean=True, initiator="local", cause="server_stop")
    assert server.wait() == 0
