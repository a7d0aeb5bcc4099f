"""Crowds: 9,000 opened and dropped in three ways, 5,000 told to go, closes spread over time, and the limits on how many there may be."""

import signal
import time

import pytest
from crowd import Crowd, raise_descriptor_limit
from endings import LOST, check_end, peer_closed, wait_for_descriptors
from wsraw import HandshakeRefused

SOURCES = tuple(f"127.0.0.{n}" for n in range(1, 9))
DROPPED = 9000
STOPPED = 5000
SPREAD_S = 1.0
MEMORY_RETURNS_S = 5.0  # what is free is given back once a second


@pytest.fixture
def descriptors():
    if not raise_descriptor_limit(DROPPED):
        pytest.skip("the hard limit of descriptors is too low for a crowd")


def closes_by_conn(server):
    return {event["conn"]: event for event in server.events[:] if event["event"] == "close"}


def open_and_drop(server, name):
    """One round, after which descriptors and memory have returned. Gives the resident memory at its height in KiB."""
    descriptors, before = server.descriptors(), server.resident_kib()
    with Crowd(server.port, sources=SOURCES, name=name) as crowd:
        crowd.open(DROPPED)
        height = server.resident_kib()
        conns = crowd.conns(server)
        expected = {}
        for start, how in enumerate(("close", "fin", "reset")):
            crowd.leave(crowd.members[start::3], how)
            expected.update(dict.fromkeys(conns[start::3], peer_closed(1000, "bye") if how == "close" else LOST))
        assert crowd.run(30.0, until=lambda: all(member.ended for member in crowd.members))
        assert all(member.ended == "fin" and member.close == (1000, "") for member in crowd.members[0::3])
        deadline = time.monotonic() + 30.0
        while len(closes_by_conn(server).keys() & expected.keys()) < DROPPED:
            assert time.monotonic() < deadline, "not every end was reported"
            time.sleep(0.05)
    closes = closes_by_conn(server)
    wrong = [closes[conn] for conn, end in expected.items() if closes[conn] != {"event": "close", "conn": conn, **end}]
    assert not wrong, (len(wrong), wrong[:5])
    wait_for_descriptors(server, descriptors)
    deadline = time.monotonic() + MEMORY_RETURNS_S
    while server.resident_kib() - before > (height - before) // 4:
        assert time.monotonic() < deadline, f"{before} KiB before, {height} at the height, now {server.resident_kib()}"
        time.sleep(0.1)
    return height


def test_opened_and_dropped(start_server, descriptors):
    server = start_server("--heartbeat-ms", "off")
    server.connect().finish()
    # The first round also makes the allocator's pools and the lists what they stay.
    _, second, third = (open_and_drop(server, name) for name in ("first", "second", "third"))
    assert third <= second + 512
    assert server.metrics()["wsbeat_connections"] == 0


@pytest.mark.parametrize("workers", ["1", "3"])
def test_everyone_is_told_to_go(start_server, descriptors, workers):
    server = start_server("--heartbeat-ms", "off", "--stop-deadline-ms", "5000", "--workers", workers)
    with Crowd(server.port, sources=SOURCES) as crowd:
        crowd.open(STOPPED)
        conns = crowd.conns(server)
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        crowd.run(10.0, until=lambda: all(member.ended for member in crowd.members))
        assert server.wait() == 0
        assert time.monotonic() - began < 5.0
    assert {(member.close, member.ended) for member in crowd.members} == {((1001, "server is closing"), "fin")}
    assert server.wait_event("stopped") == {"event": "stopped", "clean": STOPPED, "aborted": 0}
    end = {"cause": "server_stop", "code": 1001, "code_sent": 1001, "reason": "", "clean": True, "initiator": "local"}
    assert closes_by_conn(server) == {conn: {"event": "close", "conn": conn, **end} for conn in conns}


def test_the_deaf_are_aborted_at_the_deadline(start_server):
    server = start_server("--heartbeat-ms", "off", "--stop-deadline-ms", "600")
    with Crowd(server.port) as crowd:
        crowd.open(40)
        crowd.mute(crowd.members[:10])
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        crowd.run(3.0, until=lambda: all(member.ended for member in crowd.members[10:]))
        assert server.wait() == 0
        assert 0.55 < time.monotonic() - began < 1.2
        assert server.wait_event("stopped") == {"event": "stopped", "clean": 30, "aborted": 10}


def test_a_second_signal_ends_it_at_once(start_server):
    server = start_server("--heartbeat-ms", "off", "--stop-deadline-ms", "60000", "--close-timeout-ms", "60000")
    with Crowd(server.port) as crowd:
        crowd.open(10)
        crowd.mute(crowd.members)
        server.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert server.running()
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        assert time.monotonic() - began < 1.0
        assert server.wait_event("stopped") == {"event": "stopped", "clean": 0, "aborted": 10}


def test_goodbyes_are_spread(start_server):
    server = start_server("--heartbeat-ms", "off", "--stop-deadline-ms", "5000", "--stop-spread-ms", int(SPREAD_S * 1000))
    with Crowd(server.port) as crowd:
        crowd.open(400)
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        assert crowd.run(1.0, until=lambda: any(member.close for member in crowd.members))
        with pytest.raises(OSError):
            server.connect()
        crowd.run(5.0, until=lambda: all(member.ended for member in crowd.members))
        assert server.wait() == 0
    assert server.wait_event("stopped") == {"event": "stopped", "clean": 400, "aborted": 0}
    times = sorted(member.close_at - began for member in crowd.members)
    assert times[-1] < SPREAD_S + 0.5
    for quarter in range(4):
        share = sum(quarter <= 4 * at / SPREAD_S < quarter + 1 for at in times) / len(times)
        assert 0.1 < share < 0.5, (quarter, share)


def refusal(server, **options):
    with pytest.raises(HandshakeRefused) as refused:
        server.connect(**options)
    return refused.value.response.status


def test_more_than_max_connections_get_503(start_server):
    server = start_server("--max-connections", "3")
    clients = [server.connect_open() for _ in range(3)]
    for _ in range(5):
        assert refusal(server) == 503
    assert {(event["status"], event["cause"]) for event in server.wait_events("refused", 5)} == {(503, "connections")}
    left, opened = clients.pop()
    left.finish(1000)
    check_end(server, opened["conn"], peer_closed(1000))
    clients.append(server.connect_open())
    assert refusal(server) == 503
    for client, opened in clients:
        client.send_text("undisturbed")
        assert client.recv_text() == "undisturbed"
        client.abort()
        check_end(server, opened["conn"], LOST)


def test_more_than_max_connections_per_address_get_429(start_server):
    server = start_server("--max-connections-per-address", "2")
    one, opened = server.connect_open(source="127.0.0.1")
    with one, server.connect(source="127.0.0.1"):
        for _ in range(3):
            assert refusal(server, source="127.0.0.1") == 429
        assert {(event["status"], event["cause"]) for event in server.wait_events("refused", 3)} == {(429, "address")}
        with server.connect(source="127.0.0.2"), server.connect(source="127.0.0.2"):
            assert refusal(server, source="127.0.0.2") == 429
        one.abort()
        check_end(server, opened["conn"], LOST)
        with server.connect(source="127.0.0.1"):
            assert refusal(server, source="127.0.0.1") == 429
