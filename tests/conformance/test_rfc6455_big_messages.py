"""Messages up to 16 MB, whole, in fragments of every size, and in small writes; many small ones; all back byte for byte."""

import random

import pytest

from strict import BINARY, TEXT, build_frame, cut, fragments, server_frame

KIB, MIB = 1 << 10, 1 << 20
FLAGS = ("--max-message-bytes", str(16 * MIB), "--max-queue-bytes", str(36 * MIB))
KINDS = ("plain", "tls")
RANDOM = random.Random(7692).randbytes(16 * MIB)
TEXTS = ("0123456789 κόσμε €\n" * (16 * MIB // 20)).encode()
KINDS = [TEXT, BINARY]


def payload_of(opcode, size):
    """Text is cut where a character ends and filled up."""
    if opcode == BINARY:
        return RANDOM[:size]
    return TEXTS[:size].decode(errors="ignore").encode().ljust(size, b"*")


@pytest.mark.parametrize("size", [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB], ids=lambda size: f"{size // KIB}k")
@pytest.mark.parametrize("opcode", KINDS)
def test_one_frame(peer, opcode, size):
    peer.echo(opcode, payload_of(opcode, size), timeout=30)
    peer.bye()


@pytest.mark.parametrize("fragment", [64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB])
@pytest.mark.parametrize("opcode", KINDS)
def test_four_megabytes_in_fragments(peer, opcode, fragment):
    """With 64 bytes these are 65,536 fragments: exactly as many as are allowed."""
    payload = payload_of(opcode, 4 * MIB)
    peer.send(*fragments(opcode, cut(payload, fragment)))
    peer.expect(server_frame(opcode, payload), timeout=30)
    peer.bye()


@pytest.mark.parametrize("chop", [64, 128, 256, 512, KIB, 2 * KIB, 1460, 65536])
@pytest.mark.parametrize("opcode", KINDS)
def test_one_megabyte_in_chops(peer, opcode, chop):
    payload = payload_of(opcode, MIB)
    peer.chop(build_frame(opcode, payload), chop)
    peer.expect(server_frame(opcode, payload), timeout=30)
    peer.bye()


@pytest.mark.parametrize("size", [0, 16, 64, 256, 1024, 4096])
@pytest.mark.parametrize("opcode", KINDS)
def test_a_thousand_round_trips(peer, opcode, size):
    frame, echo = build_frame(opcode, b"*" * size), server_frame(opcode, b"*" * size)
    for _ in range(1000):
        peer.send(frame)
        peer.expect(echo)
    peer.bye()


def test_text_fragmented_automatically(peer):
    payload = payload_of(TEXT, 65536)
    peer.send(*fragments(TEXT, cut(payload, 1300)))
    peer.expect(server_frame(TEXT, payload))
    peer.bye()


def test_large_messages_back_to_back(peer):
    """Eight of 1 MB in one stream of bytes; frames begin anywhere in a read."""
    payloads = [RANDOM[n:n + MIB + n] for n in range(8)]
    for payload in payloads:
        peer.send(build_frame(BINARY, payload))
    for payload in payloads:
        peer.expect(server_frame(BINARY, payload), timeout=30)
    peer.bye()


def test_large_echo_read_slowly(open_peer):
    """A small receive window: the echo leaves in thousands of partial writes."""
    peer = open_peer(receive_buffer=4096)
    peer.echo(BINARY, RANDOM[:4 * MIB], timeout=30)
    peer.bye()
