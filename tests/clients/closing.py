"""The server's view of a client: that it lives, and how it ended."""

PEER_CLOSE = {"clean": True, "initiator": "remote", "cause": "peer_close"}
GONE = {"code": 1006, "reason": "", "code_sent": 0, "clean": False, "initiator": "network", "cause": "network_error"}
TOO_BIG = {"code": 1006, "reason": "", "code_sent": 1009, "clean": False, "initiator": "local", "cause": "message_too_big"}


def expect_close(server, **fields):
    """The first close event has these fields."""
    event = server.wait_event("close")
    assert {name: event[name] for name in fields} == fields


def expect_heartbeat(server):
    """Three pings of the server were answered in time, and nothing ended."""
    pongs = server.wait_events("pong", 3)
    assert all(event["rtt_us"] > 0 for event in pongs)
    assert not [event for event in server.events if event["event"] == "close"]
