"""Ends without a Close: RST and FIN at every place where a connection can be."""

import pytest
import wsraw
from endings import LOST, check_end, peer_closed

HALF_FRAME = wsraw.build_frame(wsraw.TEXT, b"cut in the middle")[:9]
PLACES = {
    "idle": b"",
    "in_a_header": HALF_FRAME[:1],
    "in_a_payload": HALF_FRAME,
    "between_fragments": wsraw.build_frame(wsraw.TEXT, b"first", fin=False),
    "in_a_ping": wsraw.build_frame(wsraw.PING, b"12345678")[:8],
    "in_a_close": wsraw.build_frame(wsraw.CLOSE, wsraw.close_payload(1000, "never whole"))[:9],
    "in_a_big_message": wsraw.build_frame(wsraw.BINARY, bytes(600000))[:500000],
}


@pytest.fixture(params=["plain", "tls"])
def server(request, start_server):
    return start_server("--commands", *(request.getfixturevalue("tls_flags") if request.param == "tls" else []))


@pytest.mark.parametrize("how", ["reset", "fin", "half_fin"])
def test_without_a_close_it_is_a_network_error(server, how):
    clients = []
    for sent in PLACES.values():
        client, opened = server.connect_open()
        clients.append((client, opened["conn"]))
        client.send_raw(sent)
    for client, conn in clients:
        if how == "reset":
            client.abort()
        elif how == "fin":
            client.close()
        else:
            client.shutdown_write()
        check_end(server, conn, LOST, timeout=3.0)
    for client, _ in clients:
        if how == "half_fin":
            assert client.recv_all()[0] == b""  # but a TLS alert, for the missing close-notify
        client.close()


@pytest.mark.parametrize("how", ["reset", "fin"])
def test_while_being_flooded(server, how):
    for wait in range(10):
        client, opened = server.connect_open(receive_buffer=16384)
        client.send_text("/flood 1000 50000")
        client.recv_exact(wait * 20000)
        client.abort() if how == "reset" else client.close()
        check_end(server, opened["conn"], LOST, timeout=3.0)


def test_right_after_their_close(server):
    """The Close was whole, so code and reason count; whether our answer could still leave decides about clean."""
    for _ in range(20):
        client, opened = server.connect_open()
        client.send_close(4003, "and away")
        client.close()
        event = server.wait_event("close", conn=opened["conn"], timeout=3.0)
        assert (event["cause"], event["code"], event["reason"], event["initiator"]) == ("peer_close", 4003, "and away", "remote")


def test_after_our_close_instead_of_an_answer(server):
    for how in ("reset", "fin"):
        client, opened = server.connect_open()
        client.send_text("/close 4004 go")
        assert client.recv_close() == (4004, "go")
        client.abort() if how == "reset" else client.close()
        check_end(server, opened["conn"], {"cause": "local_close", "code": 1006, "code_sent": 4004, "reason": "", "clean": False,
                                           "initiator": "local"}, timeout=3.0)


def test_in_the_handshake(server):
    """No connection was open, so there is no event; nothing is left behind either."""
    before = server.descriptors()
    request = wsraw.request_bytes()
    for cut in (0, 1, 20, len(request) - 1):
        for how in ("reset", "fin"):
            stream = server.socket()
            stream.send_raw(request[:cut])
            stream.abort() if how == "reset" else stream.close()
    client, opened = server.connect_open()
    assert client.finish(1000) == (1000, "")
    check_end(server, opened["conn"], peer_closed(1000))
    assert [event["event"] for event in server.events if event["event"] in ("open", "close")] == ["open", "close"]
    assert server.descriptors() <= before + 1


def test_reset_with_the_whole_request_already_sent(server):
    for _ in range(20):
        stream = server.socket()
        stream.send_raw(wsraw.request_bytes())
        stream.abort()
    server.connect().finish()
    for event in [event for event in server.events[:] if event["event"] == "open"][:-1]:
        check_end(server, event["conn"], LOST)
