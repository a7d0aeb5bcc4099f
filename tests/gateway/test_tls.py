"""TLS at the gateway, on to the server, and through to it unseen; and PROXY headers of real proxies (version 1 by nginx, 2 by HAProxy)."""

import ssl

import gateways
import pytest
import wsraw
from fleet import connect as through
from gateways import free_ports
from wsraw import HandshakeRefused

TRUST = ("--trusted-proxy", "127.0.0.1", "--commands")


@pytest.fixture
def public(certificate_files):
    """A client that believes in app.example's certificate."""
    return ssl.create_default_context(cafile=certificate_files["app.example"][0])


def tls_flags(certificate_files, name):
    certificate, key = certificate_files[name]
    return ["--tls-cert", certificate, "--tls-key", key]


def connect(gateway, public, **options):
    return wsraw.connect(gateway.port, tls=public, server_name="app.example", **options)


def nginx_tls(start_nginx, certificate_files, plain_port, tls_port, ca="wsbeat.internal"):
    certificate, key = certificate_files["app.example"]
    return start_nginx("tls.conf", {**gateways.upstreams([plain_port]), "127.0.0.1:9443": f"127.0.0.1:{tls_port}", "/etc/ssl/app.example.pem": certificate,
                                    "/etc/ssl/private/app.example.key": key, "/etc/ssl/wsbeat-ca.pem": certificate_files[ca][0]}, ("listen 443",))


def test_at_the_gateway(start_server, start_nginx, certificate_files, public):
    server = start_server(*TRUST)
    gateway = nginx_tls(start_nginx, certificate_files, server.port, 1)
    with connect(gateway, public, source="127.0.0.7") as client:
        assert server.wait_event("open")["peer"] == "127.0.0.7"
        assert client.command("hello") == "hello"
        assert client.finish(1000) == (1000, "")


def test_end_to_end(start_server, start_nginx, certificate_files, public):
    server = start_server(*TRUST, *tls_flags(certificate_files, "wsbeat.internal"))
    gateway = nginx_tls(start_nginx, certificate_files, 1, server.port)
    with connect(gateway, public, path="/end-to-end", source="127.0.0.7") as client:
        opened = server.wait_event("open")
        assert (opened["peer"], opened["path"]) == ("127.0.0.7", "/end-to-end")
        big = bytes(300000)
        client.send_binary(big)
        assert client.recv_message() == big


def test_end_to_end_with_a_server_of_another_name(start_server, start_nginx, certificate_files, public):
    """The certificate is checked: nobody gets through to an impostor."""
    server = start_server(*TRUST, *tls_flags(certificate_files, "app.example"))
    gateway = nginx_tls(start_nginx, certificate_files, 1, server.port, ca="app.example")
    with pytest.raises(HandshakeRefused) as refused:
        connect(gateway, public, path="/end-to-end")
    assert refused.value.response.status == 502
    assert [event["event"] for event in server.events] == ["listening"]


@pytest.mark.skipif(not gateways.have_stream(), reason="nginx has no stream module here")
def test_through_nginx_with_a_proxy_header(start_fleet, start_nginx, certificate_files, public):
    fleet = start_fleet(*tls_flags(certificate_files, "app.example"), "--proxy-protocol", "required", count=2)
    gateway = start_nginx("passthrough.conf", gateways.upstreams(fleet.ports, 9443), ("listen 443",), stream=True)
    places = {}
    for source in [f"127.0.0.{last}" for last in range(10, 30)] * 2:
        client, place = through(gateway, tls=public, server_name="app.example", source=source)
        with client:
            assert fleet.servers[place].wait_event("open", peer=source)
        assert places.setdefault(source, place) == place
    assert set(places.values()) == {0, 1}


def test_haproxy_with_a_proxy_header(start_server, start_haproxy, certificate_files, public):
    server = start_server(*TRUST, *tls_flags(certificate_files, "app.example"), "--proxy-protocol", "required")
    gateway = start_haproxy(passthrough=server.port)
    with wsraw.connect(gateway.ports[":8443"], tls=public, server_name="app.example", source="127.0.0.8") as client:
        assert server.wait_event("open")["peer"] == "127.0.0.8"
        assert client.command("hello") == "hello"
    # HAProxy's own health checks speak for themselves (LOCAL) and are no refused handshakes.
    assert [event["event"] for event in server.events if event["event"] == "refused"] == []


def test_haproxy_through_a_unix_socket(start_server, start_haproxy, tmp_path):
    path = tmp_path / "wsbeat.sock"
    server = start_server("--unix", path, "--trusted-proxy", "unix", "--commands")
    gateway = start_haproxy(unix=path)
    with wsraw.connect(gateway.port, "/by-unix-socket", source="127.0.0.13") as client:
        assert server.wait_event("open")["peer"] == "127.0.0.13"
        assert client.command("hello") == "hello"


def test_who_passes_the_gateway_by(start_server, certificate_files):
    """With "required" nobody connects around the proxy."""
    server = start_server("--trusted-proxy", "192.0.2.1", "--proxy-protocol", "required", *tls_flags(certificate_files, "app.example"))
    with server.socket(tls=None) as stream:
        assert stream.recv_all()[0] == b""
    assert server.wait_event("refused") == {"event": "refused", "status": 0, "cause": "proxy_header"}


def test_haproxy_at_the_gateway_and_end_to_end(start_server, start_haproxy, certificate_files, public):
    plain = start_server(*TRUST)
    secure = start_server(*TRUST, *tls_flags(certificate_files, "wsbeat.internal"))
    gateway = start_haproxy(instances=[plain.port, *free_ports(2)], tls=secure.port)
    for server, path in ((plain, "/"), (secure, "/end-to-end")):
        with wsraw.connect(gateway.ports[":443"], path, tls=public, server_name="app.example", source="127.0.0.9") as client:
            assert server.wait_event("open")["peer"] == "127.0.0.9"
            assert client.command("hello") == "hello"
