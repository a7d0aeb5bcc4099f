"""Peers that vanish without a word: a cable pulled, packets lost in one direction or both. Needs network namespaces (root)."""

import signal
import socket
import time

import pytest
from crowd import Crowd, run_together
from endings import LOST, MUTE, check_end, check_open

INTERVAL_S, TIMEOUT_S = 0.8, 0.4
HEARTBEAT = ["--heartbeat-ms", "800", "--heartbeat-timeout-ms", "400"]
SLACK_S = 0.25
TCP_REPAIR = 19


@pytest.fixture
def far(network):
    """`far(server, count)`: a crowd beyond the link."""
    yield from _crowds(network, network.client, "far")


@pytest.fixture
def near(network):
    """`near(server, count)`: a crowd on the server's side, which no fault may touch."""
    yield from _crowds(network, network.server, "near")


def _crowds(network, side, name):
    made = []

    def make(server, count):
        made.append(Crowd(server.port, host=network.SERVER, name=name))
        with side():
            made[-1].open(count)
        return made[-1], made[-1].conns(server)

    yield make
    for crowd in made:
        crowd.__exit__()


@pytest.mark.parametrize("fault", ["cut", "both", "to_client", "to_server"])
def test_vanished_peers_are_found_in_time(network, start_far, far, near, fault):
    server = start_far(*HEARTBEAT)
    away, away_conns = far(server, 10)
    neighbours, neighbour_conns = near(server, 3)
    run_together([away, neighbours], 1.0)
    check_open(server, *away_conns, *neighbour_conns)
    if fault == "cut":
        network.cut()
    else:
        network.drop(fault)
    began = time.monotonic()
    run_together([away, neighbours], INTERVAL_S + TIMEOUT_S + SLACK_S)
    for conn in away_conns:
        after = check_end(server, conn, MUTE, timeout=0.1) - began
        # A ping that had left just before may be the one that was not answered.
        assert TIMEOUT_S - SLACK_S < after < INTERVAL_S + TIMEOUT_S + SLACK_S, after
    check_open(server, *neighbour_conns)


def test_an_outage_shorter_than_the_timeout_is_forgiven(network, start_far, far):
    server = start_far("--heartbeat-ms", "2000", "--heartbeat-timeout-ms", "1900")
    crowd, conns = far(server, 20)
    for _ in range(2):
        network.drop()
        crowd.run(0.5)
        network.pass_again()
        crowd.run(2.5)
    assert all(member.state == "open" for member in crowd.members)
    assert sum(member.pings for member in crowd.members) >= 40
    check_open(server, *conns)


def test_a_close_into_the_void_times_out(network, start_far):
    server = start_far("--heartbeat-ms", "off", "--close-timeout-ms", "400")
    with network.client():
        client = server.connect()
    with client:
        conn = server.wait_event("open")["conn"]
        client.send_text("/close 4000 gone")
        assert client.recv_close() == (4000, "gone")
        network.drop()
        began = time.monotonic()
        expected = {"cause": "close_timeout", "code": 1006, "code_sent": 4000, "reason": "", "clean": False, "initiator": "local"}
        assert 0.1 < check_end(server, conn, expected) - began < 0.4 + SLACK_S


def test_a_stop_does_not_wait_for_the_vanished(network, start_far, far, near):
    server = start_far("--heartbeat-ms", "off", "--stop-deadline-ms", "700")
    away, away_conns = far(server, 5)
    neighbours, neighbour_conns = near(server, 5)
    network.cut()
    began = time.monotonic()
    server.send_signal(signal.SIGTERM)
    neighbours.run(until=lambda: all(member.ended for member in neighbours.members))
    assert server.wait() == 0
    assert 0.6 < time.monotonic() - began < 0.7 + 4 * SLACK_S
    assert server.wait_event("stopped") == {"event": "stopped", "clean": 5, "aborted": 5}
    assert all(member.close == (1001, "server is closing") for member in neighbours.members)
    common = {"cause": "server_stop", "code_sent": 1001, "reason": "", "initiator": "local"}
    for conn in neighbour_conns:
        check_end(server, conn, {**common, "code": 1001, "clean": True})
    for conn in away_conns:
        check_end(server, conn, {**common, "code": 1006, "clean": False})
    assert all(member.close is None for member in away.members)


def test_a_peer_that_came_back_without_its_memory_is_a_network_error(network, start_far):
    """As after a crash and reboot: nothing is told, and the next ping is answered with a reset."""
    server = start_far(*HEARTBEAT)
    with network.client():
        client = server.connect()
    conn = server.wait_event("open")["conn"]
    client.sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    began = time.monotonic()
    client.close()
    assert check_end(server, conn, LOST) - began < INTERVAL_S + SLACK_S
