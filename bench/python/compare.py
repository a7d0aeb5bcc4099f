#!/usr/bin/env python3
"""The Python module beside websockets and aiohttp: echo of small messages, memory of idle connections, and a blocked event loop.

One client (bench/load) drives all in interleaved rounds, the server on one core and the client on another. What counts is messages per
second of the server's CPU time. PYTHON is the interpreter with the module, by default that of scripts/python-env.sh."""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import measure
from crowd import Crowd, raise_descriptor_limit
from servers import KINDS

HERE = Path(__file__).resolve().parent
PYTHON = os.environ.get("PYTHON") or str(measure.ROOT / "build/python/venv/bin/python")
# At least so many times the faster of the two others, by face and messages in flight.
LEAST = {("wsbeat asyncio", 1): 2.2, ("wsbeat asyncio", 16): 5, ("wsbeat callbacks", 1): 3, ("wsbeat callbacks", 16): 10}
BLOCKED_S, HEALTHY, MUTED, FOUND_WITHIN_S = 5.0, 100, 20, 1.6


class Server:
    """One kind of server in a process of its own, which a context ends."""

    def __init__(self, kind, core):
        self._process = subprocess.Popen([PYTHON, HERE / "servers.py", kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                         preexec_fn=measure.on_core(core))
        self.pid = self._process.pid
        line = self._process.stdout.readline()
        if not line.strip().isdigit():
            sys.exit(f"{kind} did not start")
        self.port = int(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


def per_cpu_second(result):
    return result["messages"] / max(result["server_cpu_seconds"], 0.01)


def echo(args):
    server_core, client_core = measure.cores()
    results = {}
    for _ in range(args.rounds):
        for depth in (1, 16):
            for kind in KINDS:
                with Server(kind, server_core) as server:
                    run = measure.echo_load(args.build, server, client_core, connections=64, size=64, depth=depth, seconds=args.seconds)
                results.setdefault((kind, depth), []).append(per_cpu_second(run))
    print(f"echo, 64 connections, 64 bytes, medians of {args.rounds} rounds of {args.seconds:g} s")
    rows = []
    for depth in (1, 16):
        medians = {kind: statistics.median(results[kind, depth]) for kind in KINDS}
        for kind in KINDS:
            ratios = [f"{medians[kind] / medians[other]:.1f}x" if kind.startswith("wsbeat") else "" for other in ("websockets", "aiohttp")]
            least = LEAST.get((kind, depth))
            rows.append([kind, depth, f"{medians[kind]:,.0f}", *ratios, f">= {least:g}x" if least else "",
                         " ".join(f"{value / 1000:,.0f}k" for value in results[kind, depth])])
    measure.table(["server", "in flight", "messages per server CPU s", "websockets", "aiohttp", "wanted", "rounds"], rows)


def idle(args):
    server_core, _ = measure.cores()
    rows = []
    for kind in KINDS:
        with Server(kind, server_core) as server:
            with Crowd(server.port, name="first") as first:
                first.open(50)
            time.sleep(1)
            before = measure.resident_bytes(server.pid)
            with Crowd(server.port) as crowd:
                crowd.open(args.idle)
                crowd.run(2)
                each = (measure.resident_bytes(server.pid) - before) / args.idle
        rows.append([kind, f"{each:,.0f}", "<= 6,144" if kind.startswith("wsbeat") else ""])
    print(f"\nmemory of {args.idle} idle connections")
    measure.table(["server", "bytes each", "wanted"], rows)


def blocked():
    """The loop sleeps, heartbeat 1 s: who is found, and who is lost, while nothing of Python runs."""
    done = subprocess.run([PYTHON, HERE / "blocked.py", str(BLOCKED_S), str(HEALTHY), str(MUTED)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    lost, found, latest, delivered = done.stdout.split()
    print(f"\nevent loop blocked for {BLOCKED_S:g} s, heartbeat 1 s, {HEALTHY} healthy clients and {MUTED} muted ones")
    measure.table(["", "", "wanted"], [["healthy clients dropped", lost, "0"], ["muted clients found", found, str(MUTED)],
                                      ["the last one after", f"{float(latest):.2f} s", f"<= {FOUND_WITHIN_S} s"],
                                      ["told to Python when the loop woke", delivered, str(MUTED)]])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=measure.build_folder, default=str(measure.ROOT / "build" / "dev"), help="build folder with the programs (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement (default: %(default)s)")
    parser.add_argument("--idle", type=int, default=5000, help="idle connections (default: %(default)s)")
    args = parser.parse_args()
    if not Path(PYTHON).exists():
        sys.exit(f"{PYTHON} is missing: run scripts/python-env.sh")
    if not raise_descriptor_limit(args.idle):
        sys.exit("the hard limit of descriptors is too low")
    echo(args)
    idle(args)
    blocked()


if __name__ == "__main__":
    main()
