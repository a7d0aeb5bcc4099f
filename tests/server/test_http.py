"""Plain HTTP on the WebSocket's port."""

import json
import re

import certificates
import pytest


def test_the_page_is_self_contained(server):
    response = server.http("/")
    assert response.status == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    page = response.body.decode()
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    assert "wasClean" in page and "prefers-color-scheme" in page and 'name="viewport"' in page


def test_health(server):
    response = server.http("/healthz")
    assert (response.status, response.body) == (200, b"ok\n")


def test_metrics_are_prometheus_text(server):
    client, _ = server.connect_open()
    assert client.command("counted") == "counted"
    response = server.http("/metrics")
    assert response.status == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    for line in response.body.decode().splitlines():
        assert line.startswith("# ") or re.fullmatch(r"[a-z_:][a-z0-9_:]*(\{[^}]*\})? [0-9.e+-]+", line), line
    assert any("messages" in name and value == 1 for name, value in server.metrics().items())


def test_connections_as_json(server):
    client, opened = server.connect_open("/seen")
    response = server.http("/api/connections")
    assert response.status == 200 and response.headers["content-type"] == "application/json"
    listing = json.loads(response.body)
    assert listing["total"] == 1
    [entry] = listing["connections"]
    assert (entry["conn"], entry["path"], entry["state"]) == (opened["conn"], "/seen", "open")
    client.finish()
    server.wait_event("close")
    assert json.loads(server.http("/api/connections").body) == {"total": 0, "connections": []}


def test_connections_are_for_this_machine_only(start_server):
    server = start_server("--trusted-proxy", "127.0.0.1")
    assert server.http("/api/connections", headers=[("X-Forwarded-For", "203.0.113.9")]).status == 403
    untrusting = start_server()
    assert untrusting.http("/api/connections", headers=[("X-Forwarded-For", "127.0.0.1")]).status == 403
    assert untrusting.http("/api/connections", headers=[("Forwarded", "for=127.0.0.1")]).status == 403


def test_connections_need_the_token(start_server):
    server = start_server("--token", "s")
    assert server.http("/api/connections").status == 401
    assert server.http("/api/connections", headers=[("Authorization", "Bearer s")]).status == 200
    assert server.http("/healthz").status == 200


def test_other_paths(server):
    assert server.http("/favicon.ico").status == 204
    for path in ("/nothing", "/healthz/", "/api", "//", "/index.html"):
        assert server.http(path).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods(server, method):
    response = server.http("/", method=method)
    assert response.status == 405
    assert response.headers["allow"] == "GET, HEAD"


def test_head_has_no_body(server):
    with server.socket() as stream:
        stream.send_raw(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head = stream.recv_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert stream.recv_end() == "fin"


def test_http_and_websockets_over_tls(start_server, tmp_path):
    certificate, key = certificates.make(tmp_path)
    server = start_server("--tls-cert", certificate, "--tls-key", key, "--commands")
    assert server.http("/").status == 200
    with server.connect() as client:
        assert json.loads(client.command("/info"))["tls"] is True
