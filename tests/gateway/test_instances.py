"""Several instances behind nginx and HAProxy: who comes back finds the one it had, the others take over when it dies, and a restart loses nothing."""

import json
import signal
import subprocess
import time
from pathlib import Path

import gateways
import pytest
import wsraw
from fleet import connect, cookie_of
from senders import Sender
from wsraw import ConnectionEnded, HandshakeRefused

SOURCES = [f"127.0.0.{number}" for number in range(20, 70)]
PATIENCE_S = 10.0
SENDER = Path(__file__).with_name("sender.mjs")
SPREAD_MS = 900
PROBE = "/probe"
STOP = ("--stop-spread-ms", SPREAD_MS, "--stop-deadline-ms", "5000")

each_gateway = pytest.mark.parametrize("kind", ["nginx", "haproxy"])


@pytest.fixture
def start_gateway(start_nginx, start_haproxy):
    def start(kind, fleet):
        return start_nginx("instances.conf", gateways.upstreams(fleet.ports)) if kind == "nginx" else start_haproxy(instances=fleet.ports)

    return start


def place_of(gateway, path=PROBE, **options):
    """Where a client ends up that connects, and leaves again."""
    client, place = connect(gateway, path, **options)
    client.finish()
    return place


def cookies_for_all(gateway, each):
    """So many cookies for each instance, by nginx's hash of them (which depends on the ports)."""
    found = {0: [], 1: [], 2: []}
    number = 0
    while any(len(cookies) < each for cookies in found.values()):
        cookie = f"visitor-{number}"
        number += 1
        cookies = found[place_of(gateway, cookie=cookie)]
        if len(cookies) < each:
            cookies.append(cookie)
    return found


def eventually(gateway, wanted, **options):
    """Waits until such a client ends up where `wanted` says."""
    deadline = time.monotonic() + PATIENCE_S
    while not wanted(place := place_of(gateway, **options)):
        assert time.monotonic() < deadline, place
    return place


@each_gateway
def test_a_cookie_finds_its_instance(start_fleet, start_gateway, kind):
    gateway = start_gateway(kind, start_fleet())
    cookies = {}
    for _ in range(40):
        client, place = connect(gateway)
        cookies[cookie_of(client)] = place
        client.finish()
    assert None not in cookies and set(cookies.values()) == {0, 1, 2}
    for cookie, place in [*cookies.items()] * 2:
        client, again = connect(gateway, cookie=cookie)
        assert (again, cookie_of(client)) == (place, None)  # it has one: it gets no other
        client.finish()


@each_gateway
def test_an_address_finds_its_instance(start_fleet, start_gateway, kind):
    gateway = start_gateway(kind, start_fleet())
    places = {source: place_of(gateway, path="/by-address", source=source) for source in SOURCES}
    assert set(places.values()) == {0, 1, 2}
    assert {source: place_of(gateway, path="/by-address", source=source) for source in SOURCES} == places


@each_gateway
@pytest.mark.parametrize("by", ["cookie", "address"])
def test_an_instance_that_dies(start_fleet, start_gateway, kind, by):
    """Its clients are taken at once by another, always the same; when it is back, so are they."""
    fleet = start_fleet()
    gateway = start_gateway(kind, fleet)
    options = {"path": "/by-address", "source": SOURCES[0]} if by == "address" else {}
    client, place = connect(gateway, **options)
    if by == "cookie":
        options["cookie"] = cookie_of(client)
    fleet.kill(place)
    with pytest.raises(ConnectionEnded):
        client.recv_message()
    client.close()
    began = time.monotonic()
    client, other = connect(gateway, **options)
    assert other != place and time.monotonic() - began < 2.0
    moved = by == "cookie" and kind == "haproxy"  # it gives another cookie to whom it takes elsewhere, who then stays there
    assert (cookie_of(client) is not None) == moved
    if moved:
        options["cookie"] = cookie_of(client)
    client.finish()
    assert place_of(gateway, **options) == other
    fleet.start(place)
    eventually(gateway, lambda now: now == (other if moved else place), **options)


@each_gateway
def test_nobody_is_left(start_fleet, start_gateway, kind):
    fleet = start_fleet(count=3)
    gateway = start_gateway(kind, fleet)
    for index in range(3):
        fleet.kill(index)
    with pytest.raises(HandshakeRefused) as refused:
        connect(gateway, timeout=20.0)
    assert refused.value.response.status in (502, 503)
    fleet.start(1)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            assert place_of(gateway) == 1
            return
        except HandshakeRefused:
            assert time.monotonic() < deadline


def restart(fleet, index):
    """As a service manager does: SIGTERM, wait, start. Gives when each of its connections was closed, from the beginning of the stop."""
    server = fleet.servers[index]
    begun, before = time.monotonic(), server.mark()
    assert server.stop() == 0
    fleet.start(index)
    probes = {event["conn"] for event in server.events if event.get("path") == PROBE}
    closes = [(event, at - begun) for event, at in list(zip(server.events, server.times))[before:]
              if event["event"] == "close" and event["conn"] not in probes]
    for event, _ in closes:
        assert (event["clean"], event["cause"], event["code_sent"]) == (True, "server_stop", 1001), event
    return [at for _, at in closes]


@each_gateway
def test_a_rolling_restart_loses_no_message(start_fleet, start_gateway, kind):
    """Every instance is restarted while clients send. Each message is acknowledged exactly once, no handshake fails, and the closes are spread."""
    fleet = start_fleet(*STOP)
    gateway = start_gateway(kind, fleet)
    # HAProxy gives each client its cookie, and spreads them evenly by itself.
    cookies = [None] * 12 if kind == "haproxy" else sum(cookies_for_all(gateway, 4).values(), [])
    senders = [Sender(gateway, cookie) for cookie in cookies]
    for sender in senders:
        assert sender.connected.wait(PATIENCE_S)
    for index in range(3):
        for server in fleet.servers:
            assert wsraw.http(server.port, "/healthz").status == 200
        at = restart(fleet, index)
        assert len(at) >= 2 and max(at) > SPREAD_MS / 1000 * (len(at) - 1) / len(at) - 0.05, at
        assert max(at) - min(at) > SPREAD_MS / 1000 / len(at), at
        eventually(gateway, lambda now, index=index: now == index)  # the gateway has seen that it is back: only then the next one
    for sender in senders:
        sender.finish()
    for sender in senders:
        assert sender.failures == []
        assert sorted(sender.acknowledged) == list(range(sender.numbered)) and sender.numbered > 50
        assert set(sender.closes) == {1001} and len(sender.places) == len(sender.closes) + 1


def test_the_javascript_client_loses_no_message_in_a_rolling_restart(start_fleet, start_gateway):
    """The same with WsBeat, which reconnects by itself."""
    fleet = start_fleet(*STOP)
    gateway = start_gateway("nginx", fleet)
    cookies = sum(cookies_for_all(gateway, 4).values(), [])
    command = ["node", str(SENDER), f"ws://127.0.0.1:{gateway.port}/", *cookies]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "connected\n"
            for index in range(3):
                assert len(restart(fleet, index)) >= 2
                eventually(gateway, lambda now, index=index: now == index)
            clients = json.loads(process.communicate("finish\n", timeout=30.0)[0])
        finally:
            process.kill()
    assert len(clients) == len(cookies)
    for client in clients:
        assert sorted(client["acknowledged"]) == list(range(client["numbered"])) and client["numbered"] > 50
        stops = [close for close in client["closes"] if close == [1001, True]]
        assert stops and client["opens"] == len(stops) + 1


def test_reconnecting_during_a_stop_goes_elsewhere(start_fleet, start_gateway):
    """An instance that is closing takes nobody new, though its last connections are still there."""
    fleet = start_fleet("--stop-spread-ms", "4000", "--stop-deadline-ms", "5000")
    gateway = start_gateway("nginx", fleet)
    cookies = cookies_for_all(gateway, 2)[1]
    (first, _), (second, _) = [connect(gateway, cookie=cookie) for cookie in cookies]
    with first, second:
        fleet.servers[1].send_signal(signal.SIGTERM)
        assert first.recv_close(skip=(wsraw.PING,)) == (1001, "server is closing")
        assert [place_of(gateway, cookie=cookie) != 1 for cookie in cookies] == [True, True]
        second.send_text("still served")
        assert second.recv_text() == "still served"
        fleet.servers[1].kill()
