"""Peers that stop reading under a flood: they live as long as they show it, cost a bounded amount of memory, and can always close."""

import time

import pytest
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


def test_ten_seconds_without_reading(start_server, flags):
    server = start_server(*flags, "--max-message-bytes", "1000", "--max-queue-bytes", "1048576")
    server.connect().finish()
    before_kib = server.resident_kib()
    pairs = [flooded(server) for _ in range(READERS)]
    clients, conns = [client for client, _ in pairs], [conn for _, conn in pairs]
    show_life(clients, 0.5)
    cpu_before = server.cpu_seconds()
    show_life(clients, 9.5)
    assert server.cpu_seconds() - cpu_before < 0.95, "waiting for slow readers must not spin"
    check_open(server, *conns)
    assert server.resident_kib() - before_kib < READERS * QUEUE_KIB + 4096
    for client, conn in pairs:
        for _ in range(MESSAGES):
            assert client.recv_message() == b"f" * MESSAGE_BYTES
        assert client.finish(1000, "all read") == (1000, "")
        check_end(server, conn, peer_closed(1000, "all read"))


def test_its_close_is_answered_ahead_of_the_queue(start_server, flags):
    """Nothing was read for seconds; once it reads, the answer comes behind what the kernel holds, long before the end of the flood."""
    server = start_server(*flags)
    client, conn = flooded(server)
    with client:
        show_life([client], 3.0)
        began = time.monotonic()
        assert client.finish(4001, "enough") == (4001, "")
        assert check_end(server, conn, peer_closed(4001, "enough")) - began < 1.0


def test_its_close_is_seen_though_it_never_reads_again(start_server, flags):
    server = start_server(*flags, "--close-timeout-ms", "700")
    client, conn = flooded(server)
    with client:
        show_life([client], 1.5)
        began = time.monotonic()
        client.send_close(4002, "deaf")
        # Our answer cannot leave, so it is not clean, and it is over when the time for it is.
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
