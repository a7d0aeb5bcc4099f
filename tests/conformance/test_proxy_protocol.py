"""PROXY protocol headers before plain and TLS connections (HAProxy's proxy-protocol.txt): who is the peer, and what a bad header gets."""

import struct

import pytest
import wsraw
from wsbytes import accept_key, host_field, new_key, request_bytes
from wsraw import ConnectionEnded

KINDS = ("plain", "tls")
FLAGS = ("--trusted-proxy", "127.0.0.0/28", "--proxy-protocol", "trusted", "--handshake-timeout-ms", "1500", "--commands")
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LINE = b"PROXY TCP4 192.0.2.7 10.0.0.1 57005 443\r\n"
STRANGER = "127.0.0.77"


def block(family=0x11, addresses=bytes([192, 0, 2, 7, 10, 0, 0, 1]) + struct.pack(">HH", 57005, 443), command=0x21):
    return SIGNATURE + bytes([command, family]) + struct.pack(">H", len(addresses)) + addresses


SIX = bytes.fromhex("20010db8000000000000000000000007") + bytes(16) + struct.pack(">HH", 5001, 80)
GOOD = {"line": (LINE, "192.0.2.7"), "line of IPv6": (b"PROXY TCP6 2001:db8::7 ::1 5001 80\r\n", "2001:db8::7"),
        "line of nobody": (b"PROXY UNKNOWN\r\n", "127.0.0.1"), "block": (block(), "192.0.2.7"),
        "block of IPv6": (block(0x21, SIX), "2001:db8::7"), "block of the proxy itself": (block(0, b"", 0x20), "127.0.0.1"),
        "block with further values": (block(addresses=block()[16:] + b"\x04\x00\x03abc"), "192.0.2.7"),
        "longest block": (block(addresses=block()[16:] + bytes(4080 - 12)), "192.0.2.7")}
BAD = {"none": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "zeros": bytes(16),
       "wrong family": b"PROXY TCP4 ::1 ::1 1 2\r\n", "leading zero": b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", "long line": b"PROXY UNKNOWN " + b"x" * 100,
       "wrong version": SIGNATURE + b"\x11\x11\x00\x00", "wrong command": SIGNATURE + b"\x22\x11\x00\x00", "datagrams": block(0x12),
       "short addresses": block(addresses=bytes(11)), "too long": SIGNATURE + b"\x21\x11\xff\xff"}


def shake_hands(server, stream):
    """The opening handshake on a connected stream, over TLS if the server wants it; gives the client and its open event."""
    start = server.mark()
    sock = wsraw.insecure_tls().wrap_socket(stream.sock, server_hostname="localhost") if server.tls else stream.sock
    key = new_key()
    client = wsraw.Client(sock, key=key)
    client.send_raw(request_bytes("/", host_field("127.0.0.1", server.port), key=key))
    client.response = client.recv_response()
    assert client.response.headers["sec-websocket-accept"] == accept_key(key)
    return client, server.wait_event("open", start=start)


def raw(server, **options):
    return server.socket(tls=None, **options)


def check_refused(server, stream, start, peer_sees=("fin", "reset")):
    data, how = stream.recv_all()
    assert (data, how in peer_sees) == (b"", True)
    assert server.wait_event("refused", start=start) == {"event": "refused", "status": 0, "cause": "proxy_header"}
    assert len([event for event in server.events[start:] if event["event"] in ("refused", "open")]) == 1


@pytest.mark.parametrize("header,peer", GOOD.values(), ids=GOOD)
def test_who_the_peer_is(server, header, peer):
    with raw(server) as stream:
        stream.send_raw(header)
        client, opened = shake_hands(server, stream)
        with client:
            assert opened["peer"] == peer
            assert client.command("hello") == "hello"


@pytest.mark.parametrize("header", [LINE, block()], ids=["line", "block"])
def test_byte_by_byte(server, header):
    with raw(server) as stream:
        stream.send_slowly(header, 0.002)
        client, opened = shake_hands(server, stream)
        with client:
            assert opened["peer"] == "192.0.2.7"


def test_in_one_segment_with_the_request(server):
    """Nothing behind the header is taken with it."""
    if server.tls:
        pytest.skip("a client hello cannot be written down beforehand")
    start = server.mark()
    with raw(server) as stream:
        request = request_bytes("/", host_field("127.0.0.1", server.port), key=new_key())
        stream.send_raw(block() + request + wsraw.build_frame(wsraw.TEXT, "early"))
        assert stream.recv_response().status == 101
        assert server.wait_event("open", start=start)["peer"] == "192.0.2.7"
        assert wsraw.Client.recv_frame(stream).payload == b"early"


@pytest.mark.parametrize("header", BAD.values(), ids=BAD)
def test_bad_headers_end_the_connection(server, header):
    start = server.mark()
    with raw(server) as stream:
        stream.send_raw(header)
        check_refused(server, stream, start)


@pytest.mark.parametrize("header", [LINE[:-1], block()[:-1], LINE[:1]], ids=["line", "block", "first byte"])
def test_a_header_that_is_cut_off(server, header):
    start = server.mark()
    with raw(server) as stream:
        stream.send_raw(header)
        stream.shutdown_write()
        check_refused(server, stream, start)


def test_a_header_that_does_not_come(server):
    start = server.mark()
    with raw(server) as stream:
        check_refused(server, stream, start)


def test_who_only_looks_in_is_not_reported(server):
    start = server.mark()
    raw(server).close()
    with raw(server) as stream:
        stream.send_raw(LINE)
        client, _ = shake_hands(server, stream)
        client.close()
    server.wait_event("close", start=start)
    assert [event["event"] for event in server.events[start:]] == ["open", "close"]


def test_others_go_without(server):
    """Not a trusted proxy: what it says is TLS or HTTP, and a header is neither."""
    with raw(server, source=STRANGER) as stream:
        client, opened = shake_hands(server, stream)
        with client:
            assert opened["peer"] == STRANGER
    with raw(server, source=STRANGER) as stream:
        stream.send_raw(LINE)
        if server.tls:
            with pytest.raises(ConnectionEnded):
                stream.recv_exact(1 << 20)
        else:
            assert stream.recv_response().status == 400


def test_others_are_ended_where_it_is_required(start_server):
    server = start_server("--trusted-proxy", "127.0.0.0/28", "--proxy-protocol", "required")
    start = server.mark()
    with raw(server, source=STRANGER) as stream:
        check_refused(server, stream, start)
    with raw(server) as stream:
        stream.send_raw(LINE)
        client, opened = shake_hands(server, stream)
        with client:
            assert opened["peer"] == "192.0.2.7"
