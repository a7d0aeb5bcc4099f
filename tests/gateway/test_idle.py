"""proxy_read_timeout and timeout tunnel of 3 s against the heartbeat: what idles for half a minute, and what is cut. Begun with the first test."""

import pytest
from idle import CUT_S, IDLE_S

CUT_SLACK_S = 1.5  # the gateways' own
SEEN_WITHIN_S = 1.0

each_gateway = pytest.mark.parametrize("gateway", ["nginx", "haproxy"])
pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def half_minute(running_half_minute):
    running_half_minute.wait()
    return running_half_minute


@each_gateway
def test_a_heartbeat_keeps_an_idle_connection(half_minute, gateway):
    watched = half_minute.connections[gateway, "beating"]
    assert watched.ended is None
    assert watched.pings >= IDLE_S - 2
    assert watched.client.command("still here") == "still here"
    assert not [event for event in watched.server.events if event["event"] == "close" and event["conn"] == watched.opened["conn"]]


@each_gateway
def test_without_heartbeat_it_is_cut_and_reported(half_minute, gateway):
    watched = half_minute.connections[gateway, "silent"]
    after, how = watched.ended
    assert abs(after - CUT_S) < CUT_SLACK_S and how in ("fin", "reset")
    closed = watched.server.wait_event("close", conn=watched.opened["conn"])
    seen = watched.server.times[watched.server.events.index(closed)] - watched.since
    assert abs(seen - after) < SEEN_WITHIN_S
    assert (closed["code"], closed["clean"], closed["initiator"], closed["cause"]) == (1006, False, "network", "network_error")
    assert watched.pings == 0
