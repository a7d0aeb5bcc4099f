"""Plain HTTP on the WebSocket's port."""

import json
import re
import signal
from html.parser import HTMLParser

import certificates
import pytest
import wsraw


def test_the_page_is_self_contained(server):
    response = server.http("/")
    assert response.status == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.split(maxsplit=1) for part in response.headers["content-security-policy"].split("; "))
    assert (policy["default-src"], policy["script-src"], policy["style-src"], policy["connect-src"]) == ("'none'", *3 * ["'self'"])
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert response.headers["x-content-type-options"] == "nosniff"
    page = response.body.decode()
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</html>") and 'name="viewport"' in page
    checker = PageChecker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    assert {"state", "heartbeat due", "round trip"} <= {text.lower() for text in checker.headings}
    scripts = {name: text for name, text in files_from(server, checker.files).items() if name.endswith(".js")}
    used = set(re.findall(r"\$\('([\w-]+)'\)", "".join(scripts.values())))
    assert used and used <= set(checker.ids), "every element that the scripts ask for is there"


def files_from(server, names):
    """These files and what they import, as texts by name; each must be served, have its type, and ask for nothing from elsewhere."""
    texts, waiting = {}, list(names)
    while waiting:
        name = waiting.pop()
        if name in texts:
            continue
        response = server.http(f"/{name}")
        assert response.status == 200, name
        assert response.headers["content-type"] == ("text/css" if name.endswith(".css") else "text/javascript") + "; charset=utf-8"
        text = texts[name] = response.body.decode()
        assert not re.search(r"@import|url\(|https?://(?!www\.w3\.org/2000/svg)", text), name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", text), "text stays text"
        waiting += [f"page/{other}" for other in re.findall(r"from '\./([\w.]+)'", text)]
    assert "prefers-color-scheme" in texts["page/style.css"]
    return texts


class PageChecker(HTMLParser):
    """Fails on tags that do not match and on scripts and styles in the markup; collects what the page is made of."""

    VOID = {"meta", "input", "br", "hr", "link"}

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.headings, self.files = [], [], [], []

    def handle_starttag(self, tag, attributes):
        names = dict(attributes)
        assert not names.keys() & {"action", "data", "srcset", "style"}, (tag, names)
        assert not [name for name in names if name.startswith("on")], "no handlers in attributes"
        if tag in ("script", "link"):
            self.files.append(names["src" if tag == "script" else "href"])
        elif tag == "a":
            assert names["href"].startswith("#")
        else:
            assert not names.keys() & {"src", "href"}, (tag, names)
        if "id" in names:
            self.ids.append(names["id"])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        within = self.open[-1] if self.open else ""
        assert within != "style" and (within != "script" or not data.strip())
        if within == "th":
            self.headings.append(data.strip())


def test_health(server):
    response = server.http("/healthz")
    assert (response.status, response.body) == (200, b"ok\n")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_requests_while_stopping_get_503(server):
    """Nothing new is accepted then, but some were before and had not asked yet."""
    client, _ = server.connect_open()
    with server.socket() as health, server.socket() as late:
        assert server.http("/healthz").status == 200  # both were accepted before this one
        server.send_signal(signal.SIGTERM)
        assert client.recv_close()[0] == 1001
        health.send_raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        response = health.recv_response()
        assert (response.status, response.body) == (503, b"stopping\n")
        late.send_raw(wsraw.request_bytes())
        assert late.recv_response().status == 503
        server.wait_event("refused", status=503, cause="stopping")
    client.send_close(1001)
    assert server.wait() == 0


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
    response = server.http("/api/connections")
    assert response.status == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="wsbeat"', "no Basic: the page asks by itself, not its user"
    assert server.http("/api/connections", headers=[("Authorization", "Bearer s")]).status == 200
    assert server.http("/api/connections?token=s").status == 200
    assert server.http("/api/connections?token=s", headers=[("X-Forwarded-For", "203.0.113.9")]).status == 200
    assert server.http("/healthz").status == 200


def test_other_paths(server):
    assert server.http("/favicon.ico").status == 204
    for path in ("/nothing", "/healthz/", "/api", "//", "/index.html", "/page/", "/page/index.html", "/page/../style.css"):
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
