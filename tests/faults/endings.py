"""What close events say about the ends that faults bring."""

import time

LOST = {"cause": "network_error", "code": 1006, "code_sent": 0, "reason": "", "clean": False, "initiator": "network"}
MUTE = {"cause": "heartbeat_timeout", "code": 1006, "code_sent": 1011, "reason": "", "clean": False, "initiator": "local"}


def peer_closed(code, reason=""):
    """Their Close came first and was answered."""
    return {"cause": "peer_close", "code": code, "code_sent": code, "reason": reason, "clean": True, "initiator": "remote"}


def check_end(server, conn, expected, timeout=10.0):
    """Waits for the connection's close event, which must say exactly this. Gives the time when it was read."""
    event = server.wait_event("close", conn=conn, timeout=timeout)
    assert event == {"event": "close", "conn": conn, **expected}
    return server.times[server.events.index(event)]


def check_open(server, *conns):
    """None of them has ended."""
    ends = [event for event in server.events if event["event"] == "close" and event["conn"] in conns]
    assert not ends, ends[:5]


def wait_for_descriptors(server, count, timeout=5.0):
    """Until the server has no more open than that."""
    deadline = time.monotonic() + timeout
    while server.descriptors() > count:
        assert time.monotonic() < deadline, f"{server.descriptors()} descriptors, {count} before"
        time.sleep(0.02)


def check_survived(server):
    """Unless the test stopped the server itself: a new client is served. In either case: exit code 0, and one close for each open."""
    if server.running():
        with server.connect() as client:
            client.send_text("still there?")
            assert client.recv_text() == "still there?"
    assert server.stop() == 0, server.stderr
    opened = [event["conn"] for event in server.events if event["event"] == "open"]
    closed = [event["conn"] for event in server.events if event["event"] == "close"]
    assert len(set(opened)) == len(opened)
    assert sorted(opened) == sorted(closed)
