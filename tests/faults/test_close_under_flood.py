"""A client that closes while it is being flooded: its code and reason arrive, clean."""

import random

import pytest

TRIES = 100
NEEDED = 99


def read_on(client, length):
    """Reads so much and leaves it in the client's buffer, whole frames or not."""
    deadline = client.deadline()
    while len(client.buffer) < length:
        client.fill(deadline)


@pytest.mark.parametrize("transport", ["plain", "tls"])
def test_close_under_flood(request, start_server, transport):
    server = start_server("--commands", *(request.getfixturevalue("tls_flags") if transport == "tls" else []))
    moments = random.Random(1)
    clean, others = 0, []
    for attempt in range(TRIES):
        client, opened = server.connect_open(receive_buffer=moments.choice([None, 4096, 65536]))
        with client:
            client.send_text(f"/flood 1000000 {moments.choice([10, 1000, 60000, 400000])}")
            read_on(client, moments.choice([1, 5000, 200000, 1500000]))
            code, reason = 3000 + attempt, f"enough, try {attempt}"
            answer = client.finish(code, reason)
            event = server.wait_event("close", conn=opened["conn"], timeout=6.0)
            expected = {"event": "close", "conn": opened["conn"], "cause": "peer_close", "code": code, "code_sent": code,
                        "reason": reason, "clean": True, "initiator": "remote"}
            if event == expected and answer == (code, ""):
                clean += 1
            else:
                others.append((attempt, answer, event))
    assert clean >= NEEDED, others
