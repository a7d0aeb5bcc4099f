"""RFC 6455, 4.2: what a handshake must have, the exact answer to one, and what comes with it in one write."""

import base64

import pytest
import wsraw

from raw_http import accepted, plain, refusal, upgrade
from strict import CLOSE, PING, TEXT, build_frame, close_payload, server_close, server_frame

FLAGS = ("--subprotocols", "v2.0,v1.5")


def test_sample_of_the_rfc(server):
    """Section 1.3: its key, its accept, and the whole answer byte for byte."""
    with server.socket() as stream:
        stream.send_raw(upgrade(key="dGhlIHNhbXBsZSBub25jZQ=="))
        assert stream.recv_until(b"\r\n\r\n") == (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                                  b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")


@pytest.mark.parametrize("value",
                         ["websocket", "WebSocket", "WEBSOCKET", "h2c, websocket", "websocket , h2c", ",websocket,",
                          "foo/1,\twebsocket"])
def test_upgrade_token(server, value):
    accepted(server, upgrade(f"Upgrade: {value}", without=["Upgrade"]))


@pytest.mark.parametrize("value", ["", "websockets", "web socket", "websocket/13", "h2c", "\"websocket\"", "xwebsocket"])
def test_upgrade_to_something_else_is_plain_http(server, value):
    plain(server, upgrade(f"Upgrade: {value}", without=["Upgrade"], line="GET /nowhere HTTP/1.1"), 404)


def test_without_upgrade_it_is_plain_http(server):
    plain(server, upgrade(without=["Upgrade"], line="GET /nowhere HTTP/1.1"), 404)


@pytest.mark.parametrize("value",
                         ["Upgrade", "upgrade", "UPGRADE", "keep-alive, Upgrade", "Upgrade,keep-alive", "close ,\tupgrade ,",
                          ",,upgrade"])
def test_connection_token(server, value):
    accepted(server, upgrade(f"Connection: {value}", without=["Connection"]))


def test_connection_in_two_headers(server):
    accepted(server, upgrade("Connection: keep-alive", "Connection: Upgrade", without=["Connection"]))


@pytest.mark.parametrize("value",
                         [None, "", "close", "keep-alive", "upgraded", "up grade", "keep-alive Upgrade", "\"Upgrade\""])
def test_connection_without_the_token(server, value):
    further = () if value is None else (f"Connection: {value}",)
    refusal(server, upgrade(*further, without=["Connection"]), 400, "bad_request")


@pytest.mark.parametrize("version",
                         ["12", "14", "0", "8", "7", "6", "130", "013", "13.0", "x", "13, 8", "8, 13", "13 8", "-13", ""])
def test_other_version(server, version):
    """4.4: the answer names the version that is spoken."""
    response = refusal(server, upgrade(f"Sec-WebSocket-Version: {version}", without=["Sec-WebSocket-Version"]), 426, "version")
    assert response.headers["sec-websocket-version"] == "13"
    assert "upgrade" in response.headers["connection"].lower() and response.headers["upgrade"] == "websocket"  # RFC 9110, 15.5.22


def test_no_version(server):
    refusal(server, upgrade(without=["Sec-WebSocket-Version"]), 400, "bad_request")


BAD_KEYS = [base64.b64encode(bytes(size)).decode() for size in (0, 1, 14, 15, 17, 18, 32)]
BAD_KEYS += ["AAAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAAAAA",
             "AAAAAAAAAAAAAAAAAAAAA===",
             "AAAAAAAAAA-_AAAAAAAAAA==", "AAAAAAAAAA AAAAAAAAAAA==", "AAAAAAAAAA!AAAAAAAAAAA==", "=AAAAAAAAAAAAAAAAAAAAAA=",
             "AAAAAAAAAAAAAAAAAAAAAA==, AAAAAAAAAAAAAAAAAAAAAA==", "\"AAAAAAAAAAAAAAAAAAAAAA==\""]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_bad_key(server, key):
    refusal(server, upgrade(f"Sec-WebSocket-Key: {key}", without=["Sec-WebSocket-Key"]), 400, "bad_request")


def test_no_key(server):
    refusal(server, upgrade(without=["Sec-WebSocket-Key"]), 400, "bad_request")


@pytest.mark.parametrize("raw", [bytes(16), b"\xff" * 16, bytes(range(16)), b"\xfb\xef\xbe" * 5 + b"\xfb"])
def test_accept_for_any_key(server, raw):
    key = base64.b64encode(raw).decode()
    assert accepted(server, upgrade(key=key)).headers["sec-websocket-accept"] == wsraw.accept_key(key)


@pytest.mark.parametrize("offered,chosen",
                         [("v2.0", "v2.0"), ("v1.5", "v1.5"), ("v1.5, v2.0", "v2.0"), ("other,v1.5", "v1.5"),
                          (" v1.5 ,\tv2.0 ", "v2.0"),
                          ("v1.5,,v2.0", "v2.0"), ("other", None), ("V2.0", None), ("v2", None)])
def test_subprotocol(server, offered, chosen):
    """The server's preference among those offered, compared exactly; none is answered when none fits."""
    start = server.mark()
    response = accepted(server, upgrade(f"Sec-WebSocket-Protocol: {offered}"))
    assert response.headers.get("sec-websocket-protocol") == chosen
    assert server.wait_event("open", start=start)["subprotocol"] == (chosen or "")


def test_subprotocols_in_two_headers(server):
    response = accepted(server, upgrade("Sec-WebSocket-Protocol: a, v1.5", "Sec-WebSocket-Protocol: v2.0"))
    assert response.headers["sec-websocket-protocol"] == "v2.0"


@pytest.mark.parametrize("value", ["", ",", "a b", "a/b", "a, a", "v2.0,v1.5,v2.0", "\"v2.0\"", "v2.0;q=1", "(a)", "gr\u00fcn"])
def test_malformed_subprotocols(server, value):
    refusal(server, upgrade(f"Sec-WebSocket-Protocol: {value}"), 400, "bad_request")


def test_subprotocol_twice_in_two_headers(server):
    refusal(server, upgrade("Sec-WebSocket-Protocol: v2.0", "Sec-WebSocket-Protocol: v2.0"), 400, "bad_request")


def test_required_subprotocol(start_server):
    server = start_server("--subprotocols", "v2.0,v1.5", "--require-subprotocol")
    for headers in ((), ("Sec-WebSocket-Protocol: other",)):
        response = refusal(server, upgrade(*headers), 400, "subprotocol")
        assert response.headers["sec-websocket-protocol"] == "v2.0, v1.5"
        assert b"v2.0, v1.5" in response.body
    accepted(server, upgrade("Sec-WebSocket-Protocol: v1.5"))


def open_with(server, *frames):
    """The handshake and these bytes in one write, the answer read: (client, conn, index of its first event)."""
    start = server.mark()
    key = wsraw.new_key()
    client = wsraw.Client(wsraw.open_socket(server.port), key=key)
    client.send_raw(upgrade(key=key) + b"".join(frames))
    client.response = client.recv_response()
    assert client.response.status == 101
    assert client.response.headers["sec-websocket-accept"] == wsraw.accept_key(key)
    return client, server.wait_event("open", start=start)["conn"], start


def test_frame_behind_the_request(server):
    client, _, _ = open_with(server, build_frame(TEXT, b"early"))
    with client:
        assert client.recv_exact(7) == server_frame(TEXT, b"early")


def test_half_a_frame_behind_the_request(server):
    frame = build_frame(TEXT, b"early")
    client, _, _ = open_with(server, frame[:5])
    with client:
        client.send_raw(frame[5:])
        assert client.recv_exact(7) == server_frame(TEXT, b"early")


def test_large_message_behind_the_request(server):
    payload = b"x" * 500000
    client, _, _ = open_with(server, build_frame(TEXT, payload))
    with client:
        wanted = server_frame(TEXT, payload)
        assert client.recv_exact(len(wanted)) == wanted


def test_close_behind_the_request(server):
    """The answer to the handshake is no queued message that a Close may drop."""
    client, conn, start = open_with(server, build_frame(PING, b"?"), build_frame(CLOSE, close_payload(1000, "in and out")))
    with client:
        got, how = client.recv_all()
        assert how == "fin" and got.endswith(server_close(1000))
    event = server.wait_event("close", start=start, conn=conn)
    assert (event["code"], event["reason"], event["clean"], event["cause"]) == (1000, "in and out", True, "peer_close")


def test_violation_behind_the_request(server):
    client, conn, start = open_with(server, build_frame(3))
    with client:
        frame = client.recv_frame()
        assert frame.opcode == CLOSE and frame.close[0] == 1002
        assert client.recv_end() == "fin"
    event = server.wait_event("close", start=start, conn=conn)
    assert (event["code"], event["code_sent"], event["cause"]) == (1006, 1002, "protocol_error")


def test_body_behind_a_refused_request_is_swallowed(server):
    """The answer arrives although the peer goes on sending: no reset takes it away."""
    refusal(server, upgrade("Content-Length: 3000000", line="POST / HTTP/1.1") + b"x" * 3000000, 405, "bad_request")
