"""Who is let in: origins (RFC 6454, RFC 6455 10.2), tokens, limits on connections, and a server that is stopping."""

import base64
import signal

import pytest
from server import Server
from wsraw import HandshakeRefused

from raw_http import accepted, refusal, upgrade
from strict import Peer, server_close

FLAGS = ("--origin", "https://app.example", "--origin", "https://*.trusted.example", "--origin", "http://dev.example:*")

SAME_HOST = [("localhost", "http://localhost"), ("localhost", "https://localhost"), ("localhost:9001", "http://localhost:9001"),
             ("LocalHost", "HTTP://LOCALHOST"),
             ("localhost", "http://localhost:80"), ("localhost", "https://localhost:443"), ("localhost:80", "http://localhost"),
             ("[::1]:9001", "http://[::1]:9001")]
LISTED = ["https://app.example", "HTTPS://APP.EXAMPLE", "https://a.trusted.example", "https://a.b.trusted.example",
          "http://dev.example:8080"]
FOREIGN = ["http://other.example", "http://localhost.other.example", "http://other.example/localhost", "http://localhost:9002",
           "http://app.example",
           "https://app.example:444", "https://app.example.other", "https://xapp.example", "https://trusted.example",
           "http://a.trusted.example",
           "null", "", "localhost", "://localhost", "http://", "ftp://localhost", "http://localhost@other.example",
           "http://localhost other.example",
           "https://other.example/.trusted.example", "https://other.example?.trusted.example",
           "https://other.example#.trusted.example",
           "https://other.example\\.trusted.example", "http://localhost, http://other.example",
           "http://dev.example:1@other.example"]


@pytest.mark.parametrize("host,origin", SAME_HOST)
def test_same_host(server, host, origin):
    accepted(server, upgrade(f"Host: {host}", f"Origin: {origin}", without=["Host"]))


@pytest.mark.parametrize("origin", LISTED)
def test_listed_origin(server, origin):
    accepted(server, upgrade(f"Origin: {origin}"))


def test_no_origin(server):
    """Not a browser."""
    accepted(server, upgrade())


@pytest.mark.parametrize("origin", FOREIGN)
def test_foreign_origin(server, origin):
    refusal(server, upgrade(f"Origin: {origin}"), 403, "origin")


def test_any_origin(start_server):
    server = start_server("--origin", "*")
    for origin in ("http://other.example", "null", "whatever"):
        accepted(server, upgrade(f"Origin: {origin}"))


@pytest.fixture(scope="module")
def guarded():
    with Server("--token", "s3cr+t") as server:
        yield server


BASIC = base64.b64encode(b"user:s3cr+t").decode()


@pytest.mark.parametrize("line,header",
                         [("GET / HTTP/1.1", "Authorization: Bearer s3cr+t"),
                          ("GET / HTTP/1.1", "authorization: bearer s3cr+t"),
                          ("GET / HTTP/1.1", f"Authorization: Basic {BASIC}"),
                          ("GET / HTTP/1.1", "Cookie: a=b; token=s3cr+t; c=d"),
                          ("GET /?a=b&token=s3cr%2Bt HTTP/1.1", "X: y")])
def test_token_in_every_place(guarded, line, header):
    accepted(guarded, upgrade(header, line=line))


@pytest.mark.parametrize("line,header",
                         [("GET / HTTP/1.1", "X: y"), ("GET / HTTP/1.1", "Authorization: Bearer wrong"),
                          ("GET / HTTP/1.1", "Authorization: Bearer"),
                          ("GET / HTTP/1.1", "Authorization: Bearer s3cr+t2"),
                          ("GET / HTTP/1.1", "Authorization: Bearer s3cr+"),
                          ("GET / HTTP/1.1", f"Authorization: Basic {BASIC}x"),
                          ("GET / HTTP/1.1", "Authorization: s3cr+t"),
                          ("GET / HTTP/1.1", "Cookie: xtoken=s3cr+t"), ("GET /?token=s3cr+t HTTP/1.1", "X: y"),
                          ("GET /?token= HTTP/1.1", "X: y"),
                          ("GET /s3cr%2Bt HTTP/1.1", "X: y")])
def test_no_token(guarded, line, header):
    response = refusal(guarded, upgrade(header, line=line), 401, "unauthorized")
    assert "Bearer" in response.headers["www-authenticate"] and "Basic" in response.headers["www-authenticate"]


def test_more_connections_than_allowed(start_server):
    server = start_server("--max-connections", "2")
    first, second = Peer(server), Peer(server)
    refusal(server, upgrade(), 503, "connections")
    first.bye()
    Peer(server).bye()
    second.bye()


def test_more_connections_of_one_address_than_allowed(start_server):
    server = start_server("--max-connections-per-address", "1", "--host", "0.0.0.0")
    first = Peer(server)
    refusal(server, upgrade(), 429, "address")
    Peer(server, source="127.0.0.9").bye()
    first.bye()
    Peer(server).bye()


@pytest.fixture(scope="module")
def behind_proxies():
    with Server("--trusted-proxy", "127.0.0.1", "--trusted-proxy", "10.0.0.0/8", "--max-connections-per-address", "1") as server:
        yield server


@pytest.mark.parametrize("forwarded,peer",
                         [([], "127.0.0.1"), (["203.0.113.7"], "203.0.113.7"), (["203.0.113.7, 10.1.2.3"], "203.0.113.7"),
                          (["198.51.100.1, 203.0.113.7"], "203.0.113.7"), (["198.51.100.1", "203.0.113.7", "10.0.0.1"], "203.0.113.7"),
                          (["10.0.0.1, 10.0.0.2"], "10.0.0.1"), (["203.0.113.7:4711"], "203.0.113.7"), (["[2001:DB8::1]:80"], "2001:db8::1"),
                          (["::ffff:203.0.113.7"], "203.0.113.7"), (["unknown"], "127.0.0.1"), (["203.0.113.7, _hidden"], "127.0.0.1"),
                          (["203.0.113.7, 10.0.0.9, 999.1.1.1"], "127.0.0.1"), (["203.0.113.7, junk, 10.0.0.9"], "10.0.0.9"),
                          ([", 203.0.113.7 ,,"], "203.0.113.7")])
def test_address_through_trusted_proxies(behind_proxies, forwarded, peer):
    """The rightmost that is not trusted; what stands left of it, or of something that is no address, could be anybody's invention."""
    start = behind_proxies.mark()
    accepted(behind_proxies, upgrade(*(f"X-Forwarded-For: {value}" for value in forwarded)))
    assert behind_proxies.wait_event("open", start=start)["peer"] == peer


def test_limit_for_each_address_behind_a_proxy(behind_proxies):
    first = Peer(behind_proxies, headers=[("X-Forwarded-For", "203.0.113.7")])
    refusal(behind_proxies, upgrade("X-Forwarded-For: 203.0.113.7"), 429, "address")
    accepted(behind_proxies, upgrade("X-Forwarded-For: 203.0.113.8"))
    first.bye()


def test_nobody_is_believed_by_default(server):
    start = server.mark()
    accepted(server, upgrade("X-Forwarded-For: 203.0.113.7"))
    assert server.wait_event("open", start=start)["peer"] == "127.0.0.1"


def test_handshake_at_a_server_that_stops(start_server):
    """A socket accepted before the stop and asked for afterwards: 503; nothing new is accepted."""
    server = start_server("--stop-deadline-ms", "3000")
    peer = Peer(server)
    with server.socket() as early, server.socket() as slow:
        slow.send_raw(upgrade()[:20])
        peer.alive()
        server.send_signal(signal.SIGTERM)
        peer.expect(server_close(1001, "server is closing"))
        early.send_raw(upgrade())
        response = early.recv_response()
        assert response.status == 503
        assert early.recv_end() == "fin"
        assert server.wait_event("refused")["cause"] == "stopping"
        with pytest.raises((OSError, HandshakeRefused)):
            server.connect()
        peer.client.send_close(1001)
        peer.expect_end(b"")
    peer.closed(code=1001, reason="", code_sent=1001, clean=True, initiator="local", cause="server_stop")
    assert server.wait() == 0
