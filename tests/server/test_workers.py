"""Four workers with everything at once: what they share must hold, which sanitizer builds of the program check too."""

import json
import random
import threading

import pytest
import wsraw

CLIENT_THREADS = 8
TURNS = 25


def _drain_until(client, text):
    """Reads on until this text comes: broadcasts of others and a flood may come before it."""
    while client.recv_message() != text:
        pass


def _echo(client, name):
    client.send_text(name)
    _drain_until(client, name)
    client.finish(1000, name)


def _flood(client, name):
    client.send_text("/flood 200 2000")
    for _ in range(100):
        client.recv_message()
    client.finish(4000, name)


def _flood_and_leave(client, _name):
    client.send_text("/flood 3000 2000")
    client.recv_message()
    client.abort()


def _pause(client, name):
    client.send_text("/pause 5")
    client.send_text(name)
    _drain_until(client, name)
    client.close()


def _pause_and_leave(client, _name):
    client.send_text("/pause 3")
    client.abort()


def _be_closed(client, name):
    client.send_text("/close 4321 " + name)
    try:
        while True:
            client.recv_message()
    except wsraw.ConnectionEnded as ended:
        assert ended.data == wsraw.close_payload(4321, name)
    client.send_close(4321)
    client.close()


def _be_aborted(client, _name):
    client.send_text("/abort")
    with pytest.raises((wsraw.ConnectionEnded, ConnectionError)):  # the latter when it answers a ping
        while True:
            client.recv_message()
    client.close()


def _ask(client, name):
    client.send_text("/ping " + name)
    client.send_text("/info")
    while not (isinstance(answer := client.recv_message(), str) and answer.startswith('{"conn"')):
        pass
    assert json.loads(answer)["state"] == "open"
    client.finish(3000)


ACTIONS = [_echo, _flood, _flood_and_leave, _pause, _pause_and_leave, _be_closed, _be_aborted, _ask]


@pytest.mark.parametrize("mode", ["echo", "broadcast"])
@pytest.mark.parametrize("policy", ["refuse", "drop-oldest"])
def test_everything_at_once(start_server, mode, policy):
    server = start_server("--workers", "4", "--commands", "--mode", mode, "--slow-consumer", policy, "--heartbeat-ms", "2000",
                          "--heartbeat-timeout-ms", "1999", "--deflate")
    failures = []

    def client_thread(number):
        chance = random.Random(number)
        for turn in range(TURNS):
            action = chance.choice(ACTIONS)
            try:
                # Only where nobody looks into the messages, as this client does not decompress.
                extensions = "permessage-deflate" if action in (_flood, _flood_and_leave) and chance.random() < 0.5 else None
                action(server.connect(timeout=60, extensions=extensions), f"{number} {turn}")
                json.loads(server.http("/api/connections").body)
                assert server.http("/metrics").status == 200
            except (AssertionError, OSError, wsraw.ConnectionEnded, ValueError) as error:
                failures.append(f"{action.__name__} in turn {turn}: {error!r}")

    threads = [threading.Thread(target=client_thread, args=(number,)) for number in range(CLIENT_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    server.wait_events("close", CLIENT_THREADS * TURNS)
    assert server.stop() == 0
    opened = [event["conn"] for event in server.events if event["event"] == "open"]
    closed = [event["conn"] for event in server.events if event["event"] == "close"]
    assert len(set(opened)) == CLIENT_THREADS * TURNS
    assert sorted(opened) == sorted(closed)
    assert server.events[-1] == {"event": "stopped", "clean": 0, "aborted": 0}
