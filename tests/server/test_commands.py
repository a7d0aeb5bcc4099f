"""Orders in text messages."""

import json
import time

import pytest
import wsraw

MIB = 1 << 20

MALFORMED = ["/", "/nope", "/close x", "/close -1", "/close 70000", "/close 1005", "/close 999", "/close 1016 no", "/close 1000 " + "x" * 124,
             "/abort now", "/pause", "/pause x", "/pause 0", "/pause -1", "/pause 1 2", "/flood", "/flood 1", "/flood 1 x", "/flood 0 1",
             "/flood 1 2 3", "/flood 1 999999999999", "/flood 99999999999 1", "/info now", "/ping " + "x" * 126, "/CLOSE 1000"]


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: text[:24])
def test_a_malformed_command_is_answered_with_an_error(server, text):
    with server.connect() as client:
        assert client.command(text).startswith("error: ")
        assert client.command("still open") == "still open"


def test_only_text_messages_are_commands(server):
    with server.connect() as client:
        client.send_binary(b"/abort")
        assert client.recv_message() == b"/abort"


@pytest.mark.parametrize("text,code,reason,sent", [
    ("/close 1000 bye", 1000, "bye", 1000),
    ("/close 4999 grüß dich, du", 4999, "grüß dich, du", 4999),
    ("/close 3000", 3000, "", 3000),
    ("/close", None, "", 1005),
])
def test_close(server, text, code, reason, sent):
    client, opened = server.connect_open()
    client.send_text(text)
    assert client.recv_close() == (code, reason)
    client.send_close(code, reason)
    assert client.recv_end() == "fin"
    closed = server.wait_event("close", conn=opened["conn"])
    assert closed == {"event": "close", "conn": opened["conn"], "code": code or 1005, "reason": reason, "code_sent": sent,
                      "clean": True, "initiator": "local", "cause": "local_close"}


def test_abort(server):
    client, opened = server.connect_open()
    client.send_text("/abort")
    assert client.recv_end() == "reset"
    assert server.wait_event("close", conn=opened["conn"]) == {
        "event": "close", "conn": opened["conn"], "code": 1006, "reason": "", "code_sent": 0, "clean": False, "initiator": "local",
        "cause": "local_close"}


def test_ping_and_its_round_trip(server):
    client, opened = server.connect_open()
    client.send_text("/ping are you there")
    frame = client.recv_frame()
    assert frame == wsraw.Frame(wsraw.PING, b"are you there")
    client.send_pong(frame.payload)
    assert server.wait_event("pong", conn=opened["conn"])["rtt_us"] > 0
    payloads = set()
    for _ in range(3):
        client.send_text("/ping")
        payloads.add(client.recv_frame().payload)
    assert len(payloads) == 3


def test_pause_holds_messages_and_resumes(server):
    with server.connect() as client:
        begun = time.monotonic()
        client.send_text("/pause 400")
        client.send_text("late")
        assert client.recv_text() == "late"
        assert 0.39 <= time.monotonic() - begun < 5


def test_pause_together_with_backpressure_resumes_when_both_ended(server):
    with server.connect(receive_buffer=65536, timeout=60) as client:
        client.send_text("/flood 8 1000000")
        client.send_text("/info")
        client.send_text("/pause 300")
        client.send_text("after")
        messages = [client.recv_message() for _ in range(9)]  # the answer to /info may come between any two
        assert [len(message) for message in messages if isinstance(message, bytes)] == [1000000] * 8
        assert client.recv_text() == "after"


def test_a_paused_connection_may_end(server):
    client, opened = server.connect_open()
    client.send_text("/pause 200")
    client.send_close(1000, "bye")
    assert client.recv_close() == (1000, "")
    assert server.wait_event("close", conn=opened["conn"])["cause"] == "peer_close"


def test_stop_ends_paused_connections(start_server):
    server = start_server("--commands", "--stop-deadline-ms", "300")
    client, opened = server.connect_open()
    client.send_text("/pause 600000")
    client.send_ping(b"unseen")
    assert client.silent(0.2)
    assert server.stop() == 0
    assert server.wait_event("close", conn=opened["conn"])["cause"] == "server_stop"


def test_flood_sends_exactly_that(server):
    with server.connect() as client:
        client.send_text("/flood 1000 100")
        for _ in range(1000):
            assert client.recv_message() == b"f" * 100
        client.send_text("/flood 3 0")
        assert [client.recv_message() for _ in range(3)] == [b""] * 3
        assert client.command("end") == "end"


def test_flood_waits_for_a_slow_reader(server):
    with server.connect(receive_buffer=65536, timeout=60) as client:
        client.send_text(f"/flood 32 {MIB}")
        client.send_text("/flood 1 1")
        kinds = [type(message) for message in (client.recv_message() for _ in range(33))]
        assert kinds.count(bytes) == 32, "a second flood is refused while the first goes on"
        assert kinds.count(str) == 1


def test_a_close_in_the_middle_of_a_flood_is_seen(server):
    client, opened = server.connect_open(receive_buffer=65536)
    client.send_text("/flood 1000000 1000")
    client.recv_message()
    assert client.finish(1000, "enough") == (1000, "")
    closed = server.wait_event("close", conn=opened["conn"])
    assert (closed["code"], closed["reason"], closed["clean"]) == (1000, "enough", True)


def test_flood_under_drop_oldest_drops_whole_messages(start_server):
    server = start_server("--commands", "--slow-consumer", "drop-oldest", "--max-queue-bytes", "100000")
    with server.connect(receive_buffer=4096) as client:
        client.send_text("/flood 1000 50000")
        client.send_text("end")
        sizes = []
        while True:
            message = client.recv_message()
            if message == "end":
                break
            sizes.append(len(message))
        assert set(sizes) == {50000} and len(sizes) < 1000


def test_info_tells_everything_about_the_connection(start_server):
    server = start_server("--commands", "--subprotocols", "chat", "--heartbeat-ms", "2000", "--heartbeat-timeout-ms", "700")
    client, opened = server.connect_open("/some/path?x=1", subprotocols=["chat"])
    info = json.loads(client.command("/info"))
    assert info["conn"] == opened["conn"]
    assert (info["state"], info["path"], info["subprotocol"], info["peer"]) == ("open", "/some/path", "chat", "127.0.0.1")
    assert info["peer_port"] == client.sock.getsockname()[1]
    assert (info["heartbeat"], info["heartbeat_interval_ms"], info["heartbeat_timeout_ms"]) == (True, 2000, 700)
    assert (info["messages_in"], info["messages_out"], info["tls"], info["paused"]) == (1, 0, False, False)
    assert json.loads(client.command("/info"))["messages_out"] == 1


def test_commands_combine_with_every_mode(start_server):
    for mode in ("echo", "broadcast", "sink"):
        with start_server("--commands", "--mode", mode).connect() as client:
            assert client.command("/nope").startswith("error: ")
