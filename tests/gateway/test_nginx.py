"""One server behind nginx: what passes through, and what each line of the example is for."""

import json
import zlib

import pytest
import wsraw
from gateways import upstreams
from wsraw import PING, PONG, ConnectionEnded, HandshakeRefused

ORIGIN = [("Origin", "https://app.example")]


@pytest.fixture
def behind(start_server):
    return start_server("--commands", "--deflate", "--subprotocols", "v2.0", "--trusted-proxy", "127.0.0.1", "--heartbeat-ms", "1000")


@pytest.fixture
def nginx(start_nginx, behind):
    return start_nginx("websocket.conf", upstreams([behind.port]))


def connect(gateway, **options):
    return wsraw.connect(gateway.port, host_header="app.example", origin="https://app.example", **options)


def test_messages_both_ways(nginx):
    with connect(nginx, subprotocols=["v1", "v2.0"], extensions="permessage-deflate") as client:
        assert (client.subprotocol, client.extensions.partition(";")[0]) == ("v2.0", "permessage-deflate")
        assert client.command("hello") == "hello"
        big = bytes(range(256)) * 4000
        client.send_binary(big)
        assert zlib.decompressobj(-15).decompress(client.recv_message() + b"\0\0\xff\xff") == big  # RFC 7692, 7.2.2
        assert client.finish(4000, "bye") == (4000, "")


def test_pings_pass_both_ways(nginx):
    with connect(nginx) as client:
        assert client.recv_frame(3.0).opcode == PING  # the server's heartbeat
        client.send_ping(b"mine")
        assert client.recv_frame() == wsraw.Frame(PONG, b"mine")


def test_closes_pass_both_ways(nginx, behind):
    with connect(nginx) as client:
        client.send_text("/close 4321 gone")
        assert client.recv_close() == (4321, "gone")
        client.send_close(4321)
        assert client.recv_end() == "fin"
    closed = behind.wait_event("close")
    assert (closed["code"], closed["clean"], closed["cause"]) == (4321, True, "local_close")


def test_a_client_that_vanishes(nginx, behind):
    """nginx ends its connection to the server with the client's."""
    client = connect(nginx)
    opened = behind.wait_event("open")
    client.abort()
    closed = behind.wait_event("close", conn=opened["conn"])
    assert (closed["code"], closed["clean"], closed["initiator"], closed["cause"]) == (1006, False, "network", "network_error")


def test_a_client_that_falls_silent(nginx, behind):
    """The heartbeat sees through nginx."""
    with connect(nginx) as client:
        opened = behind.wait_event("open")
        closed = behind.wait_event("close", conn=opened["conn"])
        assert (closed["code"], closed["code_sent"], closed["cause"]) == (1006, 1011, "heartbeat_timeout")
        assert client.recv_close(skip=(PING,)) == (1011, "heartbeat timeout")
        assert client.recv_end() == "fin"


def test_a_server_that_dies(nginx, behind):
    with connect(nginx) as client:
        behind.kill()
        with pytest.raises(ConnectionEnded) as ended:
            client.recv_frame()
        assert ended.value.how == "fin"  # without a Close


@pytest.mark.parametrize("claimed", [None, "198.51.100.1"])
def test_the_clients_address(nginx, behind, claimed):
    """From the right end of X-Forwarded-For: what a client writes there itself does not count."""
    headers = [("X-Forwarded-For", claimed)] if claimed else []
    with connect(nginx, source="127.0.0.5", headers=headers):
        assert behind.wait_event("open")["peer"] == "127.0.0.5"


def test_without_trust_the_peer_is_the_proxy(start_server, start_nginx):
    server = start_server()
    gateway = start_nginx("websocket.conf", upstreams([server.port]))
    with connect(gateway, source="127.0.0.5"):
        assert server.wait_event("open")["peer"] == "127.0.0.1"


def test_plain_requests(nginx):
    assert wsraw.http(nginx.port, "/healthz").body == b"ok\n"
    assert wsraw.http(nginx.port, "/metrics").status == 404
    assert wsraw.http(nginx.port, "/api/connections").status == 403  # for the server's own machine only


def test_refusals_pass(nginx, behind):
    with pytest.raises(HandshakeRefused) as refused:
        wsraw.connect(nginx.port, host_header="app.example", origin="https://other.example")
    assert refused.value.response.status == 403
    assert behind.wait_event("refused")["cause"] == "origin"


WITHOUT = {"proxy_http_version 1.1;": 505, "proxy_set_header Upgrade $http_upgrade;": 404, "proxy_set_header Connection $connection_upgrade;": 400,
           "proxy_set_header Host $http_host;": 403}


@pytest.mark.parametrize("line,status", WITHOUT.items(), ids=lambda value: str(value).replace(" ", "-"))
def test_every_line_is_needed(start_nginx, behind, line, status):
    """What a client gets when a line of the snippet is missing: docs/troubleshooting.md begins with these."""
    gateway = start_nginx("websocket.conf", {**upstreams([behind.port]), line: ""})
    with pytest.raises(HandshakeRefused) as refused:
        connect(gateway, path="/chat")
    assert refused.value.response.status == status


def test_a_server_that_is_not_there(start_nginx, behind):
    gateway = start_nginx("websocket.conf", upstreams([behind.port]))
    assert behind.stop() == 0
    with pytest.raises(HandshakeRefused) as refused:
        connect(gateway)
    assert refused.value.response.status == 502


def test_through_a_unix_socket(start_server, start_nginx, tmp_path):
    path = tmp_path / "wsbeat.sock"
    server = start_server("--unix", path, "--trusted-proxy", "unix", "--commands")
    gateway = start_nginx("unix-socket.conf", {"/run/wsbeat/wsbeat.sock": path})
    with connect(gateway, source="127.0.0.6") as client:
        assert server.wait_event("open")["peer"] == "127.0.0.6"
        assert json.loads(client.command("/info"))["peer"] == "127.0.0.6"
