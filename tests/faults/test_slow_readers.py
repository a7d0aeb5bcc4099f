"""Peers that stop reading under a flood: they live as long as they show it, cost a bounded amount of memory, and can always close."""

import time

import pytest
import wsraw
from endings import LOST, check_end, check_open, peer_closed

HEARTBEAT = ["--heartbeat-ms", "1000", "--heartbeat-timeout-ms", "500"]
MESSAGES, MESSAGE_BYTES = 400, 65536
SMALL_WINDOW = 16384
QUEUE_KIB = 1200  # max_queue_bytes and what holds it
READERS = 6


@pytest.fixture(params=["plain", "tls"])
def flags(request):
    return ["--commands", *HEARTBEAT, *(request.getfixturevalue("tls_flags") if request.param == "tls" else [])]


def flooded(server):
    """A connection that is being flooded with more than any buffer holds and does not read."""
    client, opened = server.connect_open(receive_buffer=SMALL_WINDOW)
    client.send_text(f"/flood {MESSAGES} {MESSAGE_BYTES}")
    return client, opened["conn"]


def show_life(clients, seconds):
    """They send pongs that nobody asked for, and do not read."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for client in clients:
            client.send_pong(b"alive")
        time.sleep(0.25)


def test_ten_seconds_without_reading(start_server, tls_flags):
    """Plain and TLS side by side."""
    servers = [start_server("--commands", *HEARTBEAT, "--max-queue-bytes", "1048576", *tls) for tls in ([], tls_flags)]
    for server in servers:
        server.connect().finish()
    before_kib = [server.resident_kib() for server in servers]
    readers = [(server, *flooded(server)) for server in servers for _ in range(READERS)]
    clients = [client for _, client, _ in readers]
    show_life(clients, 0.5)
    cpu_before = [server.cpu_seconds() for server in servers]
    show_life(clients, 9.5)
    for server, kib, cpu in zip(servers, before_kib, cpu_before):
        assert server.cpu_seconds() - cpu < 0.95, "waiting for slow readers must not spin"
        # The address sanitizer keeps what was freed, beside what it adds itself.
        assert server.resident_kib() - kib < READERS * QUEUE_KIB + 4096 or server.maps("libasan")
        check_open(server, *[conn for at, _, conn in readers if at is server])
    for server, client, conn in readers:
        for _ in range(MESSAGES):
            assert client.recv_message() == b"f" * MESSAGE_BYTES
        assert client.finish(1000, "all read") == (1000, "")
        check_end(server, conn, peer_closed(1000, "all read"))


def test_its_close_is_seen_at_once(start_server, flags):
    """Nothing was read for seconds and nothing is: the answer passes what is queued. Once read, it comes behind what the kernel holds."""
    server = start_server(*flags)
    client, conn = flooded(server)
    with client:
        show_life([client], 3.0)
        began = time.monotonic()
        client.send_close(4001, "enough")
        assert check_end(server, conn, peer_closed(4001, "enough")) - began < 0.5
        messages = 0
        while (frame := client.recv_frame()).opcode != wsraw.CLOSE:
            messages += frame.opcode == wsraw.BINARY
        assert frame.close == (4001, "")
        assert messages < MESSAGES // 2
        assert client.recv_end() == "fin"


def test_its_close_is_seen_in_time_where_no_answer_can_leave(start_server, tmp_path):
    """A Unix socket takes nothing at all once it is full, so it is not clean, and it is over when the time for it is."""
    server = start_server("--commands", *HEARTBEAT, "--close-timeout-ms", "700", "--unix", tmp_path / "socket")
    client, conn = flooded(server)
    with client:
        show_life([client], 1.5)
        began = time.monotonic()
        client.send_close(4002, "deaf")
        after = check_end(server, conn, {**peer_closed(4002, "deaf"), "code_sent": 0, "clean": False}) - began
        assert 0.6 < after < 1.3


def test_its_reset_is_seen_at_once(start_server, flags):
    server = start_server(*flags)
    client, conn = flooded(server)
    show_life([client], 1.5)
    began = time.monotonic()
    client.abort()
    assert check_end(server, conn, LOST) - began < 0.5


def test_slow_consumers_are_closed_where_that_is_the_policy(start_server):
    server = start_server("--mode", "broadcast", "--slow-consumer", "close", "--max-queue-bytes", "100000", "--heartbeat-ms", "off",
                          "--close-timeout-ms", "500")
    slow, opened = server.connect_open(receive_buffer=SMALL_WINDOW)
    writer, _ = server.connect_open()
    with slow, writer:
        for _ in range(MESSAGES):
            writer.send_binary(b"b" * MESSAGE_BYTES)
            assert writer.recv_message() == b"b" * MESSAGE_BYTES
        event = server.wait_event("close", conn=opened["conn"])
        assert (event["cause"], event["clean"], event["code"], event["initiator"]) == ("slow_consumer", False, 1006, "local")
