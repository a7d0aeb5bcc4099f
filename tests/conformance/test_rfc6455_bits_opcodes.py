"""RFC 6455, 5.2: reserved bits without an extension, and reserved opcodes, fail the connection at their byte."""

import pytest

from strict import BINARY, CLOSE, PING, PONG, TEXT, build_frame, server_frame

FLAGS = ("--commands",)
KINDS = ("plain", "tls")
OPCODES = [0x0, TEXT, BINARY, CLOSE, PING, PONG]
RESERVED = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]
RSV = range(1, 8)


@pytest.mark.parametrize("rsv", RSV)
@pytest.mark.parametrize("opcode", OPCODES)
def test_reserved_bits(peer, opcode, rsv):
    peer.send(build_frame(opcode, b"\x03\xe8", rsv=rsv))
    peer.fails(1002)


@pytest.mark.parametrize("rsv", RSV)
@pytest.mark.parametrize("chopped", [False, True])
def test_good_message_then_reserved_bits_then_ping(peer, rsv, chopped):
    peer.echo(TEXT, b"Hello, world!")
    data = build_frame(TEXT, b"Hello, world!", rsv=rsv) + build_frame(PING)
    peer.chop(data, 1 if chopped else len(data))
    peer.fails(1002)


@pytest.mark.parametrize("rsv", RSV)
def test_echo_leaves_before_the_failure(peer, rsv):
    """Three frames in one write: what was good is answered, what came after the violation is not."""
    peer.send(build_frame(TEXT, b"good"), build_frame(TEXT, b"bad", rsv=rsv), build_frame(PING))
    peer.fails(1002, before=server_frame(TEXT, b"good"))


@pytest.mark.parametrize("rsv", RSV)
def test_reserved_bits_on_a_continuation(peer, rsv):
    peer.send(build_frame(TEXT, b"begin", fin=False))
    peer.alive()
    peer.send(build_frame(0x0, b"end", rsv=rsv))
    peer.fails(1002)


@pytest.mark.parametrize("first", [0xC1, 0xA1, 0x91, 0x83, 0x8B, 0x8F, 0x08, 0x09, 0x0A])
def test_first_byte_alone_is_enough(peer, first):
    peer.send(bytes([first]))
    peer.fails(1002)


@pytest.mark.parametrize("payload", [b"", b"reserved opcode payload"], ids=len)
@pytest.mark.parametrize("opcode", RESERVED)
def test_reserved_opcode(peer, opcode, payload):
    peer.send(build_frame(opcode, payload))
    peer.fails(1002)


@pytest.mark.parametrize("chopped", [False, True])
@pytest.mark.parametrize("opcode", RESERVED)
def test_good_message_then_reserved_opcode_then_ping(peer, opcode, chopped):
    peer.echo(TEXT, b"Hello, world!")
    data = build_frame(opcode, b"Hello, world!") + build_frame(PING)
    peer.chop(data, 1 if chopped else len(data))
    peer.fails(1002)


@pytest.mark.parametrize("opcode", RESERVED)
def test_reserved_opcode_between_fragments(peer, opcode):
    peer.send(build_frame(TEXT, b"begin", fin=False), build_frame(opcode), build_frame(0x0, b"end"))
    peer.fails(1002)
