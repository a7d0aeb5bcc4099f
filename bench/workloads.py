"""What is measured. Each workload is run with every server that can do it, server after server, round after round."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Workload:
    key: str
    title: str
    group: str               # rows of one table and plot
    load: tuple              # arguments of the load client
    flags: dict = field(default_factory=dict)  # of the servers
    unit: str = "message"
    kind: str = "rate"       # rate, idle, latency, mixed
    needs: str = ""          # what a server must be able to do
    servers: tuple = ()      # all of them if empty; "wsbeat/2": with two workers
    rounds: int = 0          # at most; 0: as asked for
    watched: tuple = ()      # idle: whose CPU time is watched too; all of them if empty
    same_rate: bool = False  # latency: one rate for all, not half of each one's maximum
    profiled: bool = False   # also asked where the time goes
    floor: bool = False      # bare system calls take part

    @property
    def units(self):
        return self.unit.removesuffix("y") + "ies" if self.unit.endswith("y") else self.unit + "s"


def echo(key, title, *load, **more):
    return Workload(key, title, "Echo", ("echo", *load), **more)


ALL = [
    echo("echo-64", "64 B, 64 connections, 1 in flight", "--size", "64", profiled=True, floor=True),
    echo("echo-64-deep", "64 B, 64 connections, 16 in flight", "--size", "64", "--depth", "16", floor=True),
    echo("echo-1k", "1 KiB, 64 connections", "--size", "1024"),
    echo("echo-16k", "16 KiB, 64 connections", "--size", "16384", floor=True),
    echo("echo-1m", "1 MiB, 8 connections", "--size", "1048576", "--connections", "8", profiled=True),
    echo("echo-text", "UTF-8 text, 4 KiB, 64 connections", "--size", "4096", "--text"),
    Workload("tls-1k", "1 KiB, 64 connections", "TLS and compression", ("echo", "--size", "1024", "--tls"), {"tls": True}),
    Workload("tls-16k", "16 KiB, 64 connections", "TLS and compression", ("echo", "--size", "16384", "--tls"), {"tls": True}),
    Workload("tls-1m", "1 MiB, 8 connections", "TLS and compression", ("echo", "--size", "1048576", "--connections", "8", "--tls"), {"tls": True}),
    Workload("deflate", "1 KiB of JSON, 64 connections, permessage-deflate", "TLS and compression", ("echo", "--size", "1024", "--deflate", "--text"),
             {"deflate": True}, needs="deflate"),
    Workload("handshakes", "plain", "Handshakes", ("handshakes",), unit="handshake", profiled=True, floor=True),
    Workload("visits", "plain, with an echo of 64 B and a Close both ways", "Handshakes", ("visits",), unit="visit"),
    Workload("handshakes-tls", "TLS 1.3, no resumption", "Handshakes", ("handshakes", "--tls"), {"tls": True}, unit="handshake"),
    Workload("fanout-1000", "1 to 1,000, 128 B", "Fan-out", ("fanout", "--size", "128", "--connections", "1000"), {"broadcast": True}, unit="delivery",
             profiled=True, floor=True),
    Workload("fanout-8000", "1 to 8,000, 128 B", "Fan-out", ("fanout", "--size", "128", "--connections", "8000"), {"broadcast": True}, unit="delivery",
             rounds=3),
    Workload("workers", "64 B, 64 connections, 16 in flight", "Workers", ("echo", "--size", "64", "--depth", "16"), servers=("wsbeat", "wsbeat/2")),
    Workload("latency", "64 B, 64 connections, half of each server's maximum", "Latency", ("echo", "--size", "64"), kind="latency"),
    Workload("latency-same", "64 B, 64 connections, one rate for all", "Latency", ("echo", "--size", "64"), kind="latency", same_rate=True),
    Workload("idle-9000", "9,000 connections", "Idle connections", ("idle", "--connections", "9000"), {"heartbeat": 25}, kind="idle"),
    Workload("idle-18000", "18,000 connections", "Idle connections", ("idle", "--connections", "18000"), {"heartbeat": 25}, kind="idle",
             watched=("wsbeat",)),
    Workload("mixed", "talkers, visitors, bursts and slow readers", "Mixed", ("mixed",), kind="mixed"),
]
BY_KEY = {workload.key: workload for workload in ALL}
LATENCY_BASE = "echo-64"  # its rate is the maximum of which the latency workloads take half
SAME_RATE = 10_000  # messages a second, where no maxima are known
