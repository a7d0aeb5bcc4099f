"""Who may watch: this machine by loopback, else whoever holds --dashboard-token."""

import base64
import json
import socket
import subprocess

import pytest
import wsraw

PATH = "/api/dashboard"
SECRET = "d4sh ü;&b0ard="  # what not every way can carry as it is
PLAIN = "d4sh-b0ard"


def answer(server, path=PATH, **options):
    """Status of asking and of watching, which must agree."""
    asked = server.http(path, headers=options.get("headers", ())).status if "host_header" not in options else None
    try:
        with server.connect(path, **options) as watcher:
            assert json.loads(watcher.recv_text())["type"] == "update"
            watching = 101
    except wsraw.HandshakeRefused as refused:
        watching = refused.response.status
    assert asked in (None, 200 if watching == 101 else watching)
    return watching


def basic(password):
    return ("Authorization", "Basic " + base64.b64encode(f"x:{password}".encode()).decode())


def test_this_machine_watches_by_default(server):
    assert answer(server) == 101
    assert answer(server, origin=f"http://127.0.0.1:{server.port}") == 101
    assert answer(server, origin=f"http://localhost:{server.port}", host_header=f"localhost:{server.port}") == 101
    assert answer(server, origin=f"https://[::1]:{server.port}", host_header=f"[::1]:{server.port}") == 101
    assert answer(server, host_header="127.8.9.10") == 101


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Forwarded-Host", "x-forwarded-proto", "Forwarded", "Via", "X-Real-IP", "CF-Connecting-IP",
                                    "X-Original-Forwarded-For", "True-Client-IP"])
def test_what_a_proxy_passed_on_is_not_from_here(server, header):
    assert answer(server, headers=[(header, "127.0.0.1")]) == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0", "10.0.0.1",
                                  "[::2]", "2130706433", "127.1", "localhost."])
def test_a_name_that_was_pointed_here_is_refused(server, host):
    """DNS rebinding: the page's own name leads to this machine, so peer and origin look right."""
    assert answer(server, host_header=host) == 403
    assert answer(server, host_header=host, origin=f"http://{host}") == 403
    request = f"GET /api/connections HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    with server.socket() as stream:
        stream.send_raw(request)
        assert stream.recv_response().status == 403


def test_other_pages_of_this_machine_are_refused(start_server):
    """Even if --origin lets them connect as clients."""
    server = start_server("--origin", "*")
    for origin in ("http://evil.example", "http://127.0.0.1:1", "http://localhost", "null", "file://", f"ws://127.0.0.1:{server.port}"):
        assert answer_of_page(server, origin) == 403, origin
        server.connect(origin=origin).close()


def answer_of_page(server, origin, path=PATH, **options):
    try:
        server.connect(path, origin=origin, **options).close()
        return 101
    except wsraw.HandshakeRefused as refused:
        return refused.response.status


@pytest.mark.parametrize("flags", [["--host", "0.0.0.0"], ["--host", "::"], ["--trusted-proxy", "10.0.0.0/8"]], ids=" ".join)
def test_off_where_others_can_come(start_server, flags):
    server = start_server(*flags)
    assert answer(server) == 403
    assert "--dashboard-token" in server.http(PATH).body.decode()
    assert server.http("/").status == 200, "the page with its console stays"


def test_a_unix_socket_needs_the_token(start_server, tmp_path):
    assert answer(start_server("--unix", tmp_path / "a")) == 403
    server = start_server("--unix", tmp_path / "b", "--dashboard-token", PLAIN)
    assert answer(server) == 401
    assert answer(server, f"{PATH}?dashboard_token={PLAIN}") == 101


def test_listening_on_names_of_loopback(start_server):
    for host in ("localhost", "127.0.0.2", "::1"):
        if host == "::1" and not has_ipv6():
            continue
        server = start_server("--host", host, host=host)
        assert answer(server) == 101, host


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


@pytest.mark.parametrize("secret,options", [
    (PLAIN, {"headers": [("Authorization", f"Bearer {PLAIN}")]}),
    (SECRET, {"headers": [basic(SECRET)]}),
    (PLAIN, {"headers": [("Cookie", f"token=x; dashboard_token={PLAIN}")]}),
    (SECRET, {"path": f"{PATH}?dashboard_token=d4sh+%C3%BC%3B%26b0ard%3D"}),
], ids=["bearer", "basic", "cookie", "query"])
def test_the_token_opens_from_anywhere(start_server, secret, options):
    server = start_server("--host", "0.0.0.0", "--dashboard-token", secret)
    assert answer(server, **options) == 101
    headers = [*options.get("headers", ()), ("X-Forwarded-For", "203.0.113.9")]
    assert answer(server, **{**options, "headers": headers}) == 101


@pytest.mark.parametrize("options", [
    {}, {"path": f"{PATH}?dashboard_token="}, {"path": f"{PATH}?dashboard_token={PLAIN}x"}, {"path": f"{PATH}?dashboard_token={PLAIN[:-1]}"},
    {"path": f"{PATH}?token={PLAIN}"}, {"headers": [("Authorization", "Bearer x")]}, {"headers": [("Cookie", f"token={PLAIN}")]},
])
def test_nothing_else_opens_even_here(start_server, options):
    server = start_server("--dashboard-token", PLAIN)
    assert answer(server, **options) == 401
    response = server.http(options.get("path", PATH), headers=options.get("headers", ()))
    assert json.loads(response.body) == {"needs": "dashboard_token"}
    assert response.headers["www-authenticate"] == 'Bearer realm="wsbeat"', "no Basic: the page asks, not the browser"


def test_another_sites_page_cannot_use_what_the_browser_adds(start_server):
    """Cookies and remembered passwords go along with requests of any page; a token in the address is that page's own knowledge."""
    server = start_server("--origin", "*", "--dashboard-token", PLAIN)
    evil = "https://evil.example"
    assert answer_of_page(server, evil, headers=[("Cookie", f"dashboard_token={PLAIN}")]) == 401
    assert answer_of_page(server, evil, headers=[basic(PLAIN)]) == 401
    assert answer_of_page(server, f"http://127.0.0.1:{server.port}", headers=[("Cookie", f"dashboard_token={PLAIN}")]) == 101
    assert answer_of_page(server, evil, f"{PATH}?dashboard_token={PLAIN}") == 101


def test_the_clients_token_is_needed_where_there_is_only_that(start_server):
    server = start_server("--token", PLAIN)
    assert answer(server) == 401
    assert json.loads(server.http(PATH).body) == {"needs": "token"}
    assert answer(server, f"{PATH}?token={PLAIN}") == 101
    assert answer(server, f"{PATH}?token={PLAIN}", headers=[("X-Forwarded-For", "127.0.0.1")]) == 403, "still from here only"
    both = start_server("--token", "other", "--dashboard-token", PLAIN)
    assert answer(both, f"{PATH}?dashboard_token={PLAIN}") == 101
    assert answer(both, f"{PATH}?token=other") == 401


def test_the_token_is_never_written(start_server):
    server = start_server("--dashboard-token", PLAIN, "--commands")
    client, _ = server.connect_open(f"/app?dashboard_token={PLAIN}")
    with server.connect(f"{PATH}?dashboard_token={PLAIN}") as watcher:
        assert PLAIN not in watcher.recv_text()
        watcher.send_text(f"order {PLAIN}")
    assert PLAIN not in client.command("/info")
    assert PLAIN not in server.http("/api/connections").body.decode()
    client.finish()
    server.wait_event("close")
    assert server.stop() == 0
    assert PLAIN not in json.dumps(server.events) + server.stderr


def test_other_hosts_are_refused_by_their_address(start_server, tmp_path):
    """A peer that is not loopback, though it calls us localhost: from this machine's own other address."""
    addresses = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split()
    v4 = [address for address in addresses if "." in address]
    if not v4:
        pytest.skip("this machine has loopback only")
    server = start_server("--host", "0.0.0.0", host=v4[0])
    assert answer(server, host_header="localhost") == 403
    with server.socket() as stream:
        stream.send_raw(b"GET /api/connections HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert stream.recv_response().status == 403
