#!/usr/bin/python3
"""What it costs that publications cross between servers: latency, throughput and CPU, with four wsbeat-servers and one nats-server here.

usage: bench/crossing.py [--build FOLDER]. Clients, servers and NATS share this machine's cores.
"""

import argparse
import json
import os
import re
import select
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/support"))

LATENCY_ROUNDS = 2000
FLOOD = 50000
FAN_OUT_RECEIVERS = 500  # of each server
FAN_OUT = 2000
SUBSCRIPTIONS = 100000
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(*processes):
    total = 0
    for pid in processes:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def until_up(instance):
    while b"nats: up" not in instance.http("/healthz").body:
        time.sleep(0.01)


def until_met(sender, receivers):
    """Interest takes a moment to reach NATS: until a publication has come to each."""
    for client in receivers:
        while True:
            sender.publish("meet", 0)
            try:
                client.next_event(0.05)
                break
            except TimeoutError:
                pass
    sender.publish("meet", "last")
    for client in receivers:
        while client.next_event()[1] != "last":
            pass


def latency(instances):
    """Microseconds from sending to arrival, one publication at a time: on the sender's server, and on each other."""
    from topics import TopicClient

    sender = TopicClient(instances[0])
    receivers = [TopicClient(instance) for instance in instances]
    for client in receivers:
        client.subscribe("meet")
    until_met(sender, receivers)
    times = [[] for _ in receivers]
    for number in range(LATENCY_ROUNDS):
        watched = number % len(receivers)  # one at a time, so that this process's own reading does not count for the others
        before = time.perf_counter()
        sender.send(type="publish", topic="meet", data=number)
        receivers[watched].next_event()
        times[watched].append(time.perf_counter() - before)
        for other, client in enumerate(receivers):
            if other != watched:
                client.next_event()
    medians = [1e6 * statistics.median(samples) for samples in times]
    print(f"latency, median of {LATENCY_ROUNDS // len(receivers)} publications each: {medians[0]:.0f} us on the same server, "
          f"{', '.join(f'{median:.0f}' for median in medians[1:])} us on the others: {max(medians[1:]) - medians[0]:.0f} us more")


def drain(clients, wanted_bytes):
    """Reads until so many bytes came to each."""
    epoll = select.epoll()
    left = {}
    for client in clients:
        client.raw.sock.setblocking(False)
        left[client.raw.sock.fileno()] = [client.raw.sock, wanted_bytes - len(client.raw.buffer)]
        epoll.register(client.raw.sock, select.EPOLLIN)
    while left:
        for fd, _ in epoll.poll():
            entry = left[fd]
            entry[1] -= len(entry[0].recv(1 << 20))
            if entry[1] <= 0:
                epoll.unregister(fd)
                del left[fd]
    for client in clients:
        client.raw.buffer.clear()
        client.raw.sock.setblocking(True)


def frame_bytes(topic, data):
    length = len(json.dumps({"type": "event", "topic": topic, "data": data}, separators=(",", ":")))
    return length + (2 if length < 126 else 4)


def throughput(instances, nats_pid):
    """One sender, one receiver on another server."""
    from topics import TopicClient
    import wsraw

    sender, receiver = TopicClient(instances[0]), TopicClient(instances[1])
    receiver.subscribe("meet")
    until_met(sender, [receiver])
    data = 64 * "x"
    frame = wsraw.build_frame(wsraw.TEXT, json.dumps({"type": "publish", "topic": "meet", "data": data}))
    pids = (instances[0].pid, instances[1].pid, nats_pid)
    cpu = [cpu_seconds(pid) for pid in pids]
    before = time.perf_counter()
    for _ in range(FLOOD // 100):
        sender.raw.send_raw(100 * frame)
    drain([receiver], FLOOD * frame_bytes("meet", data))
    seconds = time.perf_counter() - before
    used = [cpu_seconds(pid) - start for pid, start in zip(pids, cpu)]
    print(f"one sender, one receiver on another server: {FLOOD / seconds:,.0f} publications of 64 bytes a second; CPU for each: "
          f"{1e6 * used[0] / FLOOD:.1f} us in the sender's server, {1e6 * used[1] / FLOOD:.1f} us in the receiver's, {1e6 * used[2] / FLOOD:.1f} us in NATS")


def fan_out(instances, nats_pid):
    """One sender, everyone receives."""
    from topics import TopicClient

    sender = TopicClient(instances[0])
    receivers = [TopicClient(instance) for instance in instances for _ in range(FAN_OUT_RECEIVERS)]
    for client in receivers:
        client.subscribe("meet")
    until_met(sender, receivers[::FAN_OUT_RECEIVERS])
    for client in receivers:
        while not client.raw.silent(0.002):
            client.raw.buffer.clear()
    pids = [instance.pid for instance in instances]
    data = 64 * "x"
    cpu, nats_cpu = cpu_seconds(*pids), cpu_seconds(nats_pid)
    before = time.perf_counter()
    for _ in range(FAN_OUT):
        sender.send(type="publish", topic="meet", data=data)
    drain(receivers, FAN_OUT * frame_bytes("meet", data))
    seconds = time.perf_counter() - before
    deliveries = FAN_OUT * len(receivers)
    print(f"fan-out to {len(receivers)} receivers on 4 servers: {deliveries / seconds:,.0f} deliveries a second; CPU for each: "
          f"{1e6 * (cpu_seconds(*pids) - cpu) / deliveries:.2f} us in the servers, {1e6 * (cpu_seconds(nats_pid) - nats_cpu) / deliveries:.3f} us in NATS")


def memory():
    """Of one server, for each topic such as users.17 that somebody is subscribed to."""
    from server import Server
    from topics import TopicClient

    def resident_kib():
        return int(re.search(r"^VmRSS:\s+(\d+)", Path(f"/proc/{instance.pid}/status").read_text(encoding="ascii"), re.M)[1])

    with Server("--topics", "--max-topics", SUBSCRIPTIONS, "--quiet") as instance:
        client = TopicClient(instance)
        before = resident_kib()
        for number in range(SUBSCRIPTIONS):
            client.send(type="subscribe", topic=f"users.{number}")
        client.publish("nobody", 0)
        print(f"memory for each of {SUBSCRIPTIONS} subscriptions to topics of their own: {1024 * (resident_kib() - before) / SUBSCRIPTIONS:.0f} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build/dev", help="build folder with the programs (default: %(default)s)")
    build = parser.parse_args().build
    os.environ.setdefault("WSBEAT_SERVER", str(build / "bin/wsbeat-server"))
    from nats import Nats
    from server import Server

    with tempfile.TemporaryDirectory() as folder:
        nats = Nats(Path(folder))
        instances = [Server("--topics", "--nats", nats.url, "--quiet", "--max-queue-bytes", 64 << 20) for _ in range(4)]
        try:
            for instance in instances:
                until_up(instance)
            latency(instances)
            throughput(instances, nats.process.pid)
            fan_out(instances, nats.process.pid)
        finally:
            for instance in instances:
                instance.kill()
            nats.kill()
    memory()


if __name__ == "__main__":
    main()
