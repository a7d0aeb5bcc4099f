"""A rolling restart of four servers behind nginx, under two thousand clients that come back by themselves: what is counted here stands in docs/scaling.md."""

import json
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import gateways
import pytest
from crowd import raise_descriptor_limit
from server import Server
from topic_crowd import TopicCrowd

INSTANCES = 4
LIGHT, JAVASCRIPT, PUBLISHERS = 1800, 200, 20
GROUPS = 10  # topics; each client listens to one
PAUSE_MS = 250  # of each publisher between two publications
SPREAD_MS = 5000
BUCKET_S = 0.010
FLAGS = ("--topics", "--durable", "load.>", "--trusted-proxy", "127.0.0.1", "--stop-spread-ms", SPREAD_MS, "--stop-deadline-ms", 2 * SPREAD_MS)


class Node:
    """rolling_client.mjs, whose lines are read by a thread."""

    def __init__(self, url):
        script = Path(__file__).with_name("rolling_client.mjs")
        self.process = subprocess.Popen(["node", script, url, *map(str, (JAVASCRIPT, PUBLISHERS, GROUPS, PAUSE_MS))], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.lines = []
        threading.Thread(target=lambda: self.lines.extend(map(json.loads, self.process.stdout)), daemon=True).start()

    def next_step(self):
        self.process.stdin.write("go on\n")
        self.process.stdin.flush()

    def line(self, crowd, number):
        """Its line of this number; the crowd acts meanwhile."""
        assert crowd.run(60, until=lambda: len(self.lines) > number), f"line {number} does not come"
        return self.lines[number]

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def fleet(start_nats, tmp_path):
    """(nginx, ports, servers): restart one by ending servers[n] and start(n)."""
    nats = start_nats("-js", "-sd", tmp_path / "jetstream")
    ports = gateways.free_ports(INSTANCES)
    servers = [None] * INSTANCES
    everyone = []

    def start(number):
        servers[number] = Server(*FLAGS, "--nats", nats.url, "--port", ports[number])
        everyone.append(servers[number])

    gateway = None
    try:
        for number in range(INSTANCES):
            start(number)
        (port,) = gateways.free_ports(1)
        more = "".join(f"\n    server 127.0.0.1:{one} max_fails=0;" for one in ports[3:])
        third = "server 127.0.0.1:9003 max_fails=0;"
        replacements = {third: third + more, **gateways.upstreams(ports[:3]), "listen 80;": f"listen 127.0.0.1:{port};"}
        gateway = gateways.nginx(tmp_path / "nginx", "instances.conf", replacements, {"http": port})
        yield gateway, servers, start
    finally:
        if gateway is not None:
            gateway.stop()
        for server in everyone:
            server.kill()


def restart(servers, start, number, crowd):
    """As a service manager does; the crowd goes on meanwhile. Gives (begin, end) as time.time()."""
    begin = time.time()
    servers[number].send_signal(signal.SIGTERM)
    assert crowd.run(30, until=lambda: not servers[number].running())
    assert servers[number].wait() == 0
    start(number)
    assert crowd.run(30, until=lambda: crowd.active == LIGHT), "not all are back"
    return begin, time.time()


def fullest_bucket(moments):
    return max(Counter(int(moment / BUCKET_S) for moment in moments).values())


def shortest_hundred(moments):
    """Seconds within which a hundred of them lie."""
    moments = sorted(moments)
    return min(moments[at + 99] - moments[at] for at in range(len(moments) - 99))


@pytest.mark.timeout(110)
def test_nothing_is_lost_or_doubled_and_nobody_comes_back_in_a_wave(fleet, record_property):
    assert raise_descriptor_limit(4 * (LIGHT + JAVASCRIPT))
    gateway, servers, start = fleet
    node = Node(f"ws://127.0.0.1:{gateway.port}/")
    try:
        with TopicCrowd(gateway.port, host="127.0.0.1") as crowd:
            crowd.add(LIGHT, lambda number: f"load.{number % GROUPS}")
            assert node.line(crowd, 0) == "ready"
            node.next_step()
            times = [restart(servers, start, number, crowd) for number in range(INSTANCES)]
            node.next_step()
            published = node.line(crowd, 1)
            wanted = {f"load.{group}": [] for group in range(GROUPS)}
            for one in sorted(published, key=lambda one: one["sequence"]):
                wanted[one["topic"]].append([one["sequence"], one["data"]])
            last = {topic: messages[-1][0] for topic, messages in wanted.items()}
            assert crowd.run(30, until=lambda: all(client.position >= last[client.pattern] for client in crowd.clients)), "not all came"
            crowd.run(0.5)  # what should not come would
            node.next_step()
            others = node.line(crowd, 2)
            light = crowd.clients
    finally:
        node.kill()

    # Each publication was acknowledged once, with a place of its own, although some were made again.
    assert len({one["sequence"] for one in published}) == len({one["data"] for one in published}) == len(published)
    everyone = [(client.pattern, [list(pair) for pair in client.seen], client.missed, client.returns) for client in light]
    everyone += [(client["pattern"], client["seen"], client["missed"], client["returns"]) for client in others]
    received = sum(len(seen) for _, seen, _, _ in everyone)
    lost = sum(len(wanted[pattern]) - len({sequence for sequence, _ in seen}) for pattern, seen, _, _ in everyone)
    doubled = sum(len(seen) - len({sequence for sequence, _ in seen}) for _, seen, _, _ in everyone)
    assert (lost, doubled, sum(missed for _, _, missed, _ in everyone), sum(client.repeated for client in light)) == (0, 0, 0, 0)
    assert all(seen == wanted[pattern] for pattern, seen, _, _ in everyone), "and all of it in order"

    # Two in a hundred never come back within the same 10 ms: of those that a restart moves, each 10 ms has fewer than two in a hundred.
    waves = [[moment for *_, returns in everyone for moment in returns if begin <= moment < end] for begin, end in times]
    for wave in waves:
        assert len(wave) > LIGHT / INSTANCES / 2
        assert fullest_bucket(wave) < 0.02 * len(wave), fullest_bucket(wave)
        assert shortest_hundred(wave) > 0.5 * 100 / len(wave) * SPREAD_MS / 1000, shortest_hundred(wave)
    counts = {"published": len(published), "published again": sum(one["duplicate"] for one in published), "received": received, "lost": lost,
              "doubled": doubled, "returned": [len(wave) for wave in waves], "fullest 10 ms": [fullest_bucket(wave) for wave in waves],
              "shortest time of a hundred": [round(shortest_hundred(wave), 3) for wave in waves]}
    record_property("counts", json.dumps(counts))
    print(counts)
