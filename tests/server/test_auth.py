"""--token in the handshake, and /auth after it."""

import base64
import json
import urllib.parse

import certificates
import pytest
import wsraw

SECRET = "s3-cre.T_~+/9=="  # what RFC 6750 allows in a Bearer token
ODD = "s3c ret?&=;+%41ü"  # for what can carry anything


def _basic(user, password):
    return ("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())


def _query(token):
    return "/?a=b&token=" + urllib.parse.quote_plus(token)


GOOD = {
    "bearer": (SECRET, {"headers": [("Authorization", f"Bearer {SECRET}")]}),
    "bearer in any case": (SECRET, {"headers": [("authorization", f"BEARER {SECRET}")]}),
    "basic": (SECRET, {"headers": [_basic("anyone", SECRET)]}),
    "basic without user": (ODD, {"headers": [_basic("", ODD)]}),
    "basic with a colon": ("a:b", {"headers": [_basic("user", "a:b")]}),
    "cookie": (SECRET, {"headers": [("Cookie", f"a=b; token={SECRET}; c=d")]}),
    "query": (SECRET, {"path": _query(SECRET)}),
    "query, encoded": (ODD, {"path": _query(ODD)}),
    "subprotocol": (SECRET, {"subprotocols": ["v1", "wsbeat.token.czMtY3JlLlRffisvOT09"]}),
    "one of them": (SECRET, {"path": "/?token=wrong", "headers": [("Cookie", f"token={SECRET}")]}),
}
BAD = {
    "nothing": {},
    "wrong bearer": {"headers": [("Authorization", f"Bearer {SECRET}x")]},
    "shorter": {"headers": [("Authorization", f"Bearer {SECRET[:-1]}")]},
    "empty bearer": {"headers": [("Authorization", "Bearer ")]},
    "secret as user": {"headers": [_basic(SECRET, "")]},
    "wrong scheme": {"headers": [("Authorization", f"Digest {SECRET}")]},
    "wrong subprotocol": {"subprotocols": ["wsbeat.token.czMtY3JlLlRffisvOT0"]},
    "no token in the subprotocol": {"subprotocols": ["wsbeat.token."]},
    "wrong cookie": {"headers": [("Cookie", "token=no")]},
    "another cookie": {"headers": [("Cookie", f"tokens={SECRET}")]},
    "empty query": {"path": "/?token="},
    "another parameter": {"path": f"/?secret={urllib.parse.quote_plus(SECRET)}"},
    "the secret twice": {"path": _query(SECRET + SECRET)},
}


@pytest.mark.parametrize("how", GOOD)
def test_the_secret_opens(start_server, how):
    secret, request = GOOD[how]
    with start_server("--token", secret).connect(**request) as client:
        assert client.command("in") == "in"


@pytest.mark.parametrize("how", BAD)
def test_anything_else_gets_401(start_server, how):
    server = start_server("--token", SECRET)
    with pytest.raises(wsraw.HandshakeRefused) as refused:
        server.connect(**BAD[how])
    response = refused.value.response
    assert response.status == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="wsbeat", Basic realm="wsbeat", charset="UTF-8"'
    server.wait_event("refused", status=401, cause="unauthorized")


def test_auth_after_connecting(start_server):
    server = start_server("--token", ODD, "--auth-timeout-ms", "400")
    with server.connect() as client:
        assert client.command(f"/auth {ODD}") == "ok"
        assert client.silent(0.6), "no timeout follows"
        assert client.command("echoed") == "echoed"
        assert client.command("/abort") == "/abort", "there are no other commands"
        assert client.command(f"/auth {ODD}") == "ok", "the secret is never echoed"


def test_any_token_when_there_is_no_secret(start_server):
    server = start_server("--auth-timeout-ms", "5000", "--commands")
    with server.connect() as client:
        assert client.command("/auth whoever") == "ok"
        assert json.loads(client.command("/info"))["authenticated"] is True
    with server.connect() as client:
        client.send_text("/auth")
        assert client.recv_close() == (1008, "wrong token")


def test_no_auth_in_time(start_server):
    server = start_server("--auth-timeout-ms", "100")
    client, opened = server.connect_open()
    code, _ = client.recv_close()
    assert code == 1008
    client.send_close(1008)
    closed = server.wait_event("close", conn=opened["conn"])
    assert (closed["code_sent"], closed["cause"], closed["initiator"], closed["clean"]) == (1008, "auth_timeout", "local", True)


@pytest.mark.parametrize("flags", [[], ["--commands"]], ids=["plain", "commands"])
@pytest.mark.parametrize("message,reason", [
    ("/auth wrong", "wrong token"),
    (f"/auth {SECRET} ", "wrong token"),
    (f"/auth  {SECRET}", "wrong token"),
    ("hello", "not authenticated"),
    ("/info", "not authenticated"),
    ("", "not authenticated"),
    (b"/auth " + SECRET.encode(), "not authenticated"),
])
def test_anything_else_before_auth_closes(start_server, flags, message, reason):
    server = start_server("--token", SECRET, "--auth-timeout-ms", "5000", *flags)
    with server.connect() as client:
        client.send_text(message) if isinstance(message, str) else client.send_binary(message)
        assert client.recv_close() == (1008, reason)


def test_broadcasts_pass_by_who_is_not_authenticated(start_server):
    server = start_server("--mode", "broadcast", "--auth-timeout-ms", "60000")
    outside, inside = server.connect(), server.connect()
    server.wait_events("open", 2)
    assert inside.command("/auth x") == "ok"
    inside.send_text("secret")
    assert inside.recv_text() == "secret"
    assert outside.command("/auth y") == "ok", "nothing came before"
    inside.send_text("now")
    assert outside.recv_text() == "now"


def test_a_client_certificate_on_request(start_server, tmp_path):
    certificate, key = certificates.make(tmp_path)
    own, own_key = certificates.make(tmp_path, "client", "client.example")
    server = start_server("--tls-cert", certificate, "--tls-key", key, "--tls-client-ca", own)
    context = wsraw.insecure_tls()
    context.load_cert_chain(own, own_key)
    with server.connect(tls=context) as client:
        assert client.command("in") == "in"
    with pytest.raises((OSError, wsraw.ConnectionEnded)):
        server.connect()
