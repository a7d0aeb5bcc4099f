"""RFC 6455, 5.4: messages in fragments, control frames between them, and everything that is not a message."""

import pytest

from strict import BINARY, CLOSE, PING, PONG, TEXT, Frame, build_frame, close_payload, fragments, server_frame

FLAGS = ("--commands",)
KINDS = ("plain", "tls")
CHOPS = {"one write": 0, "frame by frame": 1, "octet by octet": 2}


@pytest.fixture(params=CHOPS.values(), ids=list(CHOPS))
def deliver(request, peer):
    """Sends frames in one of the three ways."""
    def send(*frames):
        if request.param == 0:
            peer.send(*frames)
        for frame in frames if request.param else ():
            peer.chop(frame, 1 if request.param == 2 else len(frame))
    return send


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_fragmented_control_frame(peer, opcode, deliver):
    deliver(build_frame(opcode, b"\x03\xe8", fin=False), build_frame(0x0, b"fragment2"))
    peer.fails(1002)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_two_fragments(peer, opcode, deliver):
    deliver(*fragments(opcode, [b"fragment1", b"fragment2"]))
    peer.expect(server_frame(opcode, b"fragment1fragment2"))
    peer.bye()


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_ping_between_two_fragments(peer, opcode, deliver):
    deliver(build_frame(opcode, b"fragment1", fin=False), build_frame(PING, b"ping"), build_frame(0x0, b"fragment2"))
    peer.expect(server_frame(PONG, b"ping"), server_frame(opcode, b"fragment1fragment2"))
    peer.bye()


@pytest.mark.parametrize("pieces", [[b"", b"", b""], [b"", b"middle", b""], [b"begin", b"", b"end"], [b"", b"end"],
                                    [b"x"] * 1000, [b"a" * 125, b"b" * 126, b"c" * 65536]], ids=lambda pieces: len(pieces))
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_pieces_of_any_size(peer, opcode, pieces):
    peer.send(*fragments(opcode, pieces))
    peer.expect(server_frame(opcode, b"".join(pieces)))
    peer.bye()


@pytest.mark.parametrize("fin", [True, False])
def test_continuation_of_nothing(peer, fin, deliver):
    deliver(build_frame(0x0, b"non-continuation payload", fin=fin), build_frame(TEXT, b"Hello, world!"))
    peer.fails(1002)


def test_continuation_of_nothing_is_seen_at_its_first_byte(peer):
    peer.send(b"\x00")
    peer.fails(1002)


@pytest.mark.parametrize("fin", [True, False])
def test_continuation_after_a_whole_message(peer, fin):
    peer.send(*fragments(TEXT, [b"fragment1", b"fragment2"]))
    peer.expect(server_frame(TEXT, b"fragment1fragment2"))
    peer.send(build_frame(0x0, b"fragment3", fin=fin), build_frame(TEXT, b"Hello, world!"))
    peer.fails(1002)


@pytest.mark.parametrize("fin", [True, False])
def test_continuation_after_a_whole_message_in_one_write(peer, fin):
    peer.send(*fragments(TEXT, [b"fragment1", b"fragment2"]), build_frame(0x0, b"fragment3", fin=fin),
              build_frame(TEXT, b"Hello, world!"))
    peer.fails(1002, before=server_frame(TEXT, b"fragment1fragment2"))


@pytest.mark.parametrize("fin", [True, False])
def test_continuation_first_then_good_fragments(peer, fin, deliver):
    deliver(*(build_frame(0x0, b"fragment1", fin=fin), *fragments(TEXT, [b"fragment2", b"fragment3"])) * 2)
    peer.fails(1002)


@pytest.mark.parametrize("second", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [True, False])
@pytest.mark.parametrize("first", [TEXT, BINARY])
def test_new_message_inside_another(peer, first, second, fin):
    peer.send(build_frame(first, b"fragment1", fin=False), build_frame(second, b"fragment2", fin=fin))
    peer.fails(1002)


def test_new_message_inside_another_is_seen_at_its_first_byte(peer):
    peer.send(build_frame(TEXT, b"fragment1", fin=False), b"\x81")
    peer.fails(1002)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_pings_are_answered_while_a_message_is_unfinished(peer, one_by_one):
    """Five fragments, two pings: the first pong comes before the third fragment was sent."""
    def deliver(*frames):
        for frame in frames if one_by_one else [b"".join(frames)]:
            peer.send(frame)

    deliver(build_frame(TEXT, b"fragment1", fin=False), build_frame(0x0, b"fragment2", fin=False),
            build_frame(PING, b"pongme 1!"))
    peer.expect(server_frame(PONG, b"pongme 1!"))
    deliver(build_frame(0x0, b"fragment3", fin=False), build_frame(0x0, b"fragment4", fin=False),
            build_frame(PING, b"pongme 2!"),
            build_frame(0x0, b"fragment5"))
    peer.expect_both([Frame(TEXT, b"fragment1fragment2fragment3fragment4fragment5")], [b"pongme 2!"])
    peer.bye()


def test_text_and_binary_fragments_alternate(peer):
    for n in range(50):
        opcode = TEXT if n % 2 else BINARY
        peer.send(*fragments(opcode, [b"%d" % n, b"", b"-", b"%d" % n]))
        peer.expect(server_frame(opcode, b"%d-%d" % (n, n)))
    peer.bye()


def test_large_messages_leave_in_one_frame(peer):
    """Our side fragments nothing: an echo of many fragments is one frame."""
    pieces = [b"%05d" % n for n in range(20000)]
    peer.send(*fragments(TEXT, pieces))
    assert peer.client.recv_frame() == Frame(TEXT, b"".join(pieces))
    peer.bye()


def test_close_between_fragments(peer):
    """The message stays unfinished, the closing handshake is a good one."""
    peer.send(build_frame(TEXT, b"fragment1", fin=False), build_frame(CLOSE, close_payload(1000, "enough")),
              build_frame(0x0, b"fragment2"))
    peer.answered(1000, "enough")
