"""The server's view of a client's end."""

PEER_CLOSE = {"clean": True, "initiator": "remote", "cause": "peer_close"}


def expect_close(server, **fields):
    """The first close event has these fields."""
    event = server.wait_event("close")
    assert {name: event[name] for name in fields} == fields
