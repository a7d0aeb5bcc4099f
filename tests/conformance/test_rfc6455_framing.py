"""RFC 6455, 5.2 and 5.3: lengths, masks, and bytes that come in any portions. Both directions byte for byte."""

import os

import pytest
import wsraw

from strict import BINARY, PING, PONG, TEXT, Frame, build_frame, expect_both, server_frame

FLAGS = ("--commands",)
KINDS = ("plain", "tls")
SIZES = [0, 1, 2, 3, 4, 7, 8, 9, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537]
HEADS = {0: "00", 1: "01", 125: "7d", 126: "7e007e", 127: "7e007f", 128: "7e0080", 65535: "7effff",
         65536: "7f0000000000010000", 65537: "7f0000000000010001"}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_every_length_comes_back(peer, opcode, size):
    peer.echo(opcode, b"*" * size if opcode == TEXT else os.urandom(size))
    peer.bye()


@pytest.mark.parametrize("size,head", HEADS.items())
def test_head_on_the_wire(peer, size, head):
    """The head written out by hand, so that no helper can be wrong in the same way twice."""
    peer.send_frame(BINARY, b"\xfe" * size)
    peer.expect(bytes.fromhex("82" + head) + b"\xfe" * size)
    peer.bye()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 300])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_octet_by_octet(peer, opcode, size):
    payload = b"x" * size
    peer.chop(build_frame(opcode, payload))
    peer.expect(server_frame(opcode, payload))
    peer.bye()


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_chops_of_997(peer, opcode):
    payload = b"*" * 65536
    peer.chop(build_frame(opcode, payload), 997)
    peer.expect(server_frame(opcode, payload))
    peer.bye()


@pytest.mark.parametrize("first", range(1, 24))
def test_every_cut_of_a_frame(peer, first):
    """Two writes, the cut in each place: in the head, the length, the mask and the payload."""
    payload = bytes(range(130))
    data = build_frame(BINARY, payload)
    peer.send(data[:first])
    peer.send(data[first:])
    peer.expect(server_frame(BINARY, payload))
    peer.bye()


@pytest.mark.parametrize("mask", [bytes(4), b"\xff" * 4, b"\x01\x02\x04\x80", b"\x00\x00\x00\x01", b"\x81\x85\x00\x7f"])
@pytest.mark.parametrize("size", [0, 1, 5, 31, 64, 1003])
def test_any_mask(peer, mask, size):
    payload = os.urandom(size)
    peer.send(build_frame(BINARY, payload, mask=mask))
    peer.expect(server_frame(BINARY, payload))
    peer.bye()


def test_masks_change_from_frame_to_frame(peer):
    """Lengths that put every following frame at another alignment."""
    payloads = [os.urandom(size) for size in range(64)]
    peer.send(*(build_frame(BINARY, payload) for payload in payloads))
    peer.expect(*(server_frame(BINARY, payload) for payload in payloads))
    peer.bye()


def test_hello_of_the_rfc(peer):
    """Section 5.7: a single-frame masked text message, and its unmasked echo."""
    peer.send(bytes.fromhex("818537fa213d7f9f4d5158"))
    peer.expect(bytes.fromhex("810548656c6c6f"))
    peer.send(bytes.fromhex("898537fa213d7f9f4d5158"))
    peer.expect(bytes.fromhex("8a0548656c6c6f"))
    peer.bye()


@pytest.mark.parametrize("opcode", [0x0, TEXT, BINARY, 0x8, PING, PONG])
@pytest.mark.parametrize("payload", [b"", b"\x03\xe8"])
def test_unmasked_frame(peer, opcode, payload):
    peer.send(build_frame(opcode, payload, mask=None))
    peer.fails(1002)


def test_unmasked_is_seen_at_its_byte(peer):
    peer.send(b"\x82\x7f")
    peer.fails(1002)


def test_unmasked_after_good_messages(peer):
    peer.echo(TEXT, b"one")
    peer.send(build_frame(TEXT, b"two"), build_frame(TEXT, b"three", mask=None), build_frame(PING, b"never"))
    peer.fails(1002, before=server_frame(TEXT, b"two"))


@pytest.mark.parametrize("size,length_bytes", [(0, 2), (1, 2), (125, 2), (0, 8), (125, 8), (126, 8), (65535, 8)])
def test_length_not_minimal(peer, size, length_bytes):
    peer.send(build_frame(BINARY, b"x" * size, length_bytes=length_bytes))
    peer.fails(1002)


@pytest.mark.parametrize("opcode", [0x8, PING, PONG])
@pytest.mark.parametrize("length_bytes", [2, 8])
def test_control_length_not_minimal(peer, opcode, length_bytes):
    peer.send(build_frame(opcode, b"", length_bytes=length_bytes))
    peer.fails(1002)


@pytest.mark.parametrize("length", [1 << 63, (1 << 64) - 1, (1 << 63) | 5])
def test_top_bit_of_the_length(peer, length):
    """Only the head comes: the verdict must not wait for a payload."""
    peer.send(build_frame(BINARY, b"", length_bytes=8, declared_length=length)[:10])
    peer.fails(1002)


@pytest.mark.parametrize("length", [(1 << 20) + 1, 1 << 31, (1 << 32) + 5, 1 << 40, (1 << 63) - 1])
def test_long_length_is_refused_before_its_payload(peer, length):
    """63 bits are legal, but over the limit; not a byte of the payload has come."""
    peer.send(build_frame(BINARY, b"", length_bytes=8, declared_length=length))
    peer.fails(1009, "message_too_big")


def test_payload_after_a_refused_length_is_swallowed(peer):
    """Close and FIN arrive although megabytes of the refused message were on their way: no reset takes them away."""
    peer.send(build_frame(BINARY, b"x" * (4 << 20)))
    peer.fails(1009, "message_too_big")


def test_frames_sent_with_the_handshake(server):
    """The request and frames in one write (section 4.1 does not ask to wait in what a server may receive)."""
    key = wsraw.new_key()
    start = server.mark()
    with wsraw.Client(server.socket().sock, key=key) as client:
        client.send_raw(wsraw.request_bytes("/", f"127.0.0.1:{server.port}", key=key) + build_frame(TEXT, b"early") +
                        build_frame(PING, b"bird"))
        response = client.recv_response()
        assert (response.status, response.headers["sec-websocket-accept"]) == (101, wsraw.accept_key(key))
        expect_both(client, [Frame(TEXT, b"early")], [b"bird"])
    opened = server.wait_event("open", start=start)
    closed = server.wait_event("close", start=start, conn=opened["conn"])
    assert (closed["code"], closed["cause"], closed["initiator"]) == (1006, "network_error", "network")
