"""RFC 7692, 7.2: compressed messages of every size, in fragments, with every agreement; the examples of 7.2.3; what the contexts remember."""

import json
import random

import pytest

from deflated import BINARY, RSV1, TEXT, THRESHOLD_BYTES, Deflated, Frame, build_frame, cut, fragments, server_frame
from strict import PING

FLAGS = ("--deflate", "--commands")
KINDS = ("plain", "tls")
NAME = "permessage-deflate"
AGREEMENTS = ["", "; server_no_context_takeover; client_no_context_takeover", "; server_no_context_takeover",
              "; client_no_context_takeover",
              "; server_max_window_bits=9; client_max_window_bits=9", "; server_max_window_bits=15; client_max_window_bits=15",
              "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; client_max_window_bits=9",
              "; server_no_context_takeover; server_max_window_bits=15", "; server_max_window_bits=9",
              "; server_max_window_bits=12; client_max_window_bits=10"]
# Payload, how many messages, size of our fragments (0: whole).
SIZES = [(0, 10, 0), (1, 10, 0), (16, 50, 0), (64, 50, 0), (255, 20, 0), (256, 20, 0), (1024, 30, 0), (4096, 30, 0),
         (8192, 20, 0), (16384, 20, 0),
         (32768, 20, 0), (65536, 10, 0), (131072, 10, 0), (8192, 10, 256), (16384, 10, 256), (32768, 5, 256), (65536, 5, 256),
         (131072, 5, 256), (131072, 5, 1024), (131072, 5, 4096), (131072, 5, 32768)]


def make_text():
    """Half a megabyte of JSON that compresses as JSON does."""
    numbers = random.Random(6455)
    words = ["heartbeat", "connection", "grüße", "漢字", "false", "0.5"]
    rows = [{"id": n, "name": numbers.choice(words), "value": numbers.random(),
             "tags": numbers.choices(words, k=3)} for n in range(5000)]
    return json.dumps(rows, ensure_ascii=False).encode()


JSON = make_text()
NOISE = random.Random(1).randbytes(300000)
RUNS = bytes(1000) + b"\xff" * 200000
SOURCES = {"json": (TEXT, JSON), "noise": (BINARY, NOISE), "runs": (BINARY, RUNS)}


def messages(source, size, count):
    """Successive pieces of a source that never ends; text begins and ends between characters."""
    opcode, data = SOURCES[source]
    for n in range(count):
        start = n * size % (len(data) - size)
        piece = data[start:start + size]
        yield opcode, piece if opcode == BINARY else piece.decode(errors="ignore").encode()


@pytest.mark.parametrize("agreement", AGREEMENTS)
@pytest.mark.parametrize("size,count,fragment", SIZES)
def test_sizes(open_peer, agreement, size, count, fragment):
    peer = open_peer(extensions=NAME + agreement)
    deflated = Deflated(peer)
    for opcode, payload in messages("json", size, count):
        deflated.echo(opcode, payload, fragment)
    peer.bye()


@pytest.mark.parametrize("server_bits", range(9, 16))
@pytest.mark.parametrize("client_bits", range(8, 16))
def test_every_window(open_peer, client_bits, server_bits):
    """Both sides keep to what was agreed: ours inflates with no more, and what we send refers no further back."""
    peer = open_peer(extensions=f"{NAME}; client_max_window_bits={client_bits}; server_max_window_bits={server_bits}")
    deflated = Deflated(peer)
    assert (deflated.client_bits, deflated.server_bits) == (client_bits, server_bits)
    for opcode, payload in messages("json", 70000, 3):
        deflated.echo(opcode, payload)
    peer.bye()


@pytest.mark.parametrize("source", ["noise", "runs"])
@pytest.mark.parametrize("agreement", AGREEMENTS)
def test_other_contents(open_peer, agreement, source):
    peer = open_peer(extensions=NAME + agreement)
    deflated = Deflated(peer)
    for size in (100, 1000, 10000, 100000):
        for opcode, payload in messages(source, size, 3):
            deflated.echo(opcode, payload, 1300)
    peer.bye()


@pytest.fixture
def deflated(open_peer):
    return Deflated(open_peer(extensions=NAME))


HELLO = bytes.fromhex("f248cdc9c90700")


def expect_hello(peer):
    """Below the threshold the echo is not compressed."""
    peer.expect(server_frame(TEXT, b"Hello"))


@pytest.mark.parametrize("data", ["f248cdc9c90700", "000500faff48656c6c6f00", "f348cdc9c9070000", "f24805000000ffffcac9c90700"],
                         ids=["fixed huffman", "stored", "final block", "two blocks"])
def test_examples_of_the_rfc(deflated, data):
    """7.2.3.1, 7.2.3.3, 7.2.3.4 and 7.2.3.5: all say Hello."""
    deflated.peer.send(build_frame(TEXT, bytes.fromhex(data), rsv=RSV1))
    expect_hello(deflated.peer)
    deflated.peer.bye()


def test_hello_in_two_fragments(deflated):
    """7.2.3.1: RSV1 on the first frame alone."""
    deflated.peer.send(build_frame(TEXT, HELLO[:3], fin=False, rsv=RSV1), build_frame(0x0, HELLO[3:]))
    expect_hello(deflated.peer)
    deflated.peer.bye()


def test_second_hello_refers_to_the_first(deflated):
    """7.2.3.2: with the window kept, five bytes say it again."""
    deflated.peer.send(build_frame(TEXT, HELLO, rsv=RSV1), build_frame(TEXT, bytes.fromhex("f200110000"), rsv=RSV1))
    expect_hello(deflated.peer)
    expect_hello(deflated.peer)
    deflated.peer.bye()


@pytest.mark.parametrize("data", ["00", "0200", "0300"], ids=["stored block", "fixed block", "final block"])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_empty_message(deflated, data, opcode):
    """7.2.3.6, and other ways to say nothing."""
    for _ in range(3):
        deflated.peer.send(build_frame(opcode, bytes.fromhex(data), rsv=RSV1))
        deflated.peer.expect(server_frame(opcode, b""))
    deflated.peer.bye()


def test_every_cut_of_a_compressed_message(deflated):
    """Fragments of one byte, empty ones between, pings between."""
    data = deflated.compress(JSON[:2000])
    frames = fragments(TEXT, [piece for byte in cut(data, 1) for piece in (byte, b"")], rsv=RSV1)
    deflated.peer.send(b"".join(frame + (build_frame(PING) if n % 100 == 0 else b"") for n, frame in enumerate(frames[:-1])),
                       frames[-1])
    pongs = (len(frames) - 1 + 99) // 100
    deflated.peer.expect(*(server_frame(0xA) for _ in range(pongs)))
    assert deflated.receive()[:2] == (TEXT, JSON[:2000])
    deflated.peer.bye()


@pytest.mark.parametrize("size", [1, 7, 100])
def test_chops(deflated, size):
    deflated.peer.chop(build_frame(TEXT, deflated.compress(JSON[:20000]), rsv=RSV1), size)
    assert deflated.receive()[:2] == (TEXT, JSON[:20000])
    deflated.peer.bye()


def test_uncompressed_and_compressed_messages_alternate(deflated):
    """Section 6: each message says by RSV1 which it is, and uncompressed ones do not enter the window."""
    for n in range(20):
        payload = JSON[n * 1000:(n + 1) * 1000].decode(errors="ignore").encode()
        deflated.peer.send(build_frame(TEXT, payload))
        assert deflated.receive()[:2] == (TEXT, payload)
        deflated.echo(TEXT, payload)
    deflated.peer.bye()


@pytest.mark.parametrize("size", [THRESHOLD_BYTES - 1, THRESHOLD_BYTES])
def test_threshold(deflated, size):
    """`receive` judges which side of the threshold is compressed."""
    deflated.echo(BINARY, b"x" * size)
    deflated.peer.bye()


def test_control_frames_are_never_compressed(deflated):
    deflated.peer.send(build_frame(PING, b"p" * 125))
    deflated.peer.expect(server_frame(0xA, b"p" * 125))
    deflated.peer.send(build_frame(TEXT, b"/close 4000 " + b"r" * 123))
    frame = deflated.peer.client.recv_frame()
    assert (frame.rsv, frame.opcode, frame.close) == (0, 0x8, (4000, "r" * 123))
    deflated.peer.client.send_close(4000)
    deflated.peer.expect_end(b"")


def test_what_the_server_remembers(open_peer):
    """The same incompressible message again is a short reference, unless the context or the window forbids it."""
    payload = NOISE[:2000]
    first_again = {}
    for agreement in ("", "; server_no_context_takeover", "; server_max_window_bits=9"):
        peer = open_peer(extensions=NAME + agreement)
        deflated = Deflated(peer)
        first_again[agreement] = deflated.echo(BINARY, payload), deflated.echo(BINARY, payload)
        peer.bye()
    first, again = first_again[""]
    assert again < 200 < 2000 <= first
    first, again = first_again["; server_no_context_takeover"]
    assert again == first >= 2000
    first, again = first_again["; server_max_window_bits=9"]
    assert again >= 2000


def test_what_the_client_may_refer_to(open_peer):
    """With client_no_context_takeover our second message must stand alone; a reference into the first is then corrupt data."""
    peer = open_peer(extensions=NAME + "; client_no_context_takeover")
    peer.send(build_frame(TEXT, HELLO, rsv=RSV1))
    expect_hello(peer)
    peer.send(build_frame(TEXT, bytes.fromhex("f200110000"), rsv=RSV1))
    peer.fails(1007, "protocol_error")


def test_fragmented_echo_is_one_compressed_frame(deflated):
    deflated.send(TEXT, JSON, 4096)
    frame = deflated.peer.client.recv_frame()
    assert (frame.opcode, frame.fin, frame.rsv) == (TEXT, True, RSV1)
    assert deflated.decompress(frame.payload) == JSON
    deflated.peer.bye()


def test_compressed_command_and_plain_answer(deflated):
    deflated.send(TEXT, b"/nonsense")
    assert deflated.peer.client.recv_frame() == Frame(TEXT, b"error: unknown command /nonsense")
    deflated.peer.bye()
