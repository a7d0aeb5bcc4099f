#!/usr/bin/env python3
"""Measures wsbeat-server and its peers with the same client, in interleaved rounds, server and client on one core each.

What counts is work per second of the server's CPU time (user and system, and what the kernel does for it in the thread of its core), so that neither
the client nor other work on the machine decides.
Results go to build/bench/results.json after every workload; bench/report.py makes docs/performance.md and its plots of them."""

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import servers
import workloads

sys.path.insert(0, str(servers.ROOT / "tests" / "support"))
import certificates  # noqa: E402

RESULTS = servers.ROOT / "build" / "bench" / "results.json"
FULL = {"rounds": 5, "seconds": 0.5, "warmup": 0.2, "idle": 25, "mixed": 120, "mixed_peers": 8}
QUICK = {"rounds": 1, "seconds": 0.4, "warmup": 0.15, "idle": 2, "mixed": 8, "mixed_peers": 5}
IDLE_SETTLE_S = 1.5
LOAD_TIMEOUT_S = 300


class Bench:
    def __init__(self, args, settings, folder):
        self.build, self.settings, self.folder = args.build, settings, Path(folder)
        self.tls = certificates.make(folder)
        cores = sorted(os.sched_getaffinity(0))
        self.server_cores, self.client_core = {cores[0]}, cores[-1]
        self.all_cores = set(cores[:2])
        self.softirq_thread = servers.softirq_thread(cores[0])
        self.runs, self.began = [], time.monotonic()

    def say(self, text):
        print(f"[{time.monotonic() - self.began:4.0f} s] {text}", flush=True)

    # -- one run
    def start(self, name, workload):
        key, _, workers = name.partition("/")
        flags = dict(workload.flags)
        if "tls" in flags:
            flags["tls"] = self.tls
        if workers:
            return servers.BY_KEY[key].start(self.build, self.all_cores, workers=int(workers), **flags)
        return servers.BY_KEY[key].start(self.build, self.server_cores, **flags)

    def load_command(self, server, load, **options):
        command = [str(self.build / "bench/load"), *load, "--port", str(server.port), "--server-pid", str(server.pid)]
        if self.softirq_thread:
            command += ["--server-pid", str(self.softirq_thread)]
        for name, value in options.items():
            command += ["--" + name, str(value)]
        return command

    def load(self, server, load, **options):
        result = subprocess.run(self.load_command(server, load, **options), capture_output=True, text=True, check=False, timeout=LOAD_TIMEOUT_S,
                                preexec_fn=lambda: os.sched_setaffinity(0, {self.client_core}))
        if result.returncode != 0:
            raise RuntimeError(result.stderr.strip() or f"the load client ended with {result.returncode}")
        return json.loads(result.stdout)

    def record(self, workload, name, run_round, measure):
        """Runs measure() and keeps what it says, also why it failed: one peer that fails must not stop the rest."""
        entry = {"workload": workload.key, "server": name, "round": run_round}
        try:
            entry = measure() | entry
        except (RuntimeError, OSError, subprocess.SubprocessError, ValueError) as error:
            entry["error"] = str(error)[:300]
            self.say(f"  {name}: FAILED: {entry['error']}")
        self.runs.append(entry)
        return entry

    # -- kinds of workload
    def rate(self, workload, names):
        rounds = self.settings["rounds"]
        for run_round in range(min(rounds, workload.rounds or rounds)):
            line = []
            for name in in_turn(names, run_round):
                def measure(name=name):
                    with self.start(name, workload) as server:
                        return self.load(server, workload.load, seconds=self.settings["seconds"], warmup=self.settings["warmup"])
                entry = self.record(workload, name, run_round, measure)
                if "error" not in entry:
                    line.append(f"{name} {entry['messages'] / max(entry['server_cpu_seconds'], 1e-9) / 1000:,.1f}k")
            self.say(f"  round {run_round + 1}, {workload.units} per server CPU second: " + ", ".join(line))
        for name in names:
            self.record(workload, name, "calls", lambda name=name: self.count_calls(workload, name))
        if workload.profiled and self.perf_works():
            for name in (name for name in names if name in ("wsbeat", "lws")):
                self.record(workload, name, "profile", lambda name=name: self.profile(workload, name))

    def profile(self, workload, name):
        """In which objects the server's time goes, in percent."""
        data = str(self.folder / "profile")
        with self.start(name, workload) as server:
            recorder = subprocess.Popen(["perf", "record", "-q", "-F", "2500", "-e", "cpu-clock", "-p", str(server.pid), "-o", data],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                self.load(server, workload.load, seconds=1.0, warmup=0.2)
            finally:
                recorder.send_signal(2)
                recorder.wait(30)
        listed = subprocess.run(["perf", "report", "-i", data, "--stdio", "--sort", "dso", "-g", "none"], capture_output=True, text=True, check=True).stdout
        return {"profile": {dso: float(share) for share, dso in re.findall(r"^\s*([\d.]+)%\s+(\S+)", listed, re.M)}}

    def count_calls(self, workload, name):
        """System calls for one message: perf's counter, or strace's table where the kernel does not let us count."""
        with self.start(name, workload) as server:
            log = self.folder / "calls"
            if self.perf_works():
                counter = subprocess.Popen(["perf", "stat", "-x,", "-o", str(log), "-e", "raw_syscalls:sys_enter", "-p", str(server.pid)])
                pattern = r"^(\d+),,raw_syscalls"
            else:
                counter = subprocess.Popen(["strace", "-q", "-c", "-f", "-U", "calls,name", "-o", str(log), "-p", str(server.pid)])
                pattern = r"^\s*(\d+)\s+total"
            time.sleep(0.1)
            try:
                result = self.load(server, workload.load, seconds=0.4, warmup=0)
            finally:
                counter.send_signal(2)
                counter.wait(30)
            return {"calls": int(re.search(pattern, log.read_text(), re.M)[1]), "messages": result["messages"]}

    _perf = None

    def perf_works(self):
        if self._perf is None:
            self._perf = bool(shutil.which("perf")) and subprocess.run(
                ["perf", "stat", "-e", "raw_syscalls:sys_enter", "true"], capture_output=True, check=False).returncode == 0
        return self._perf

    def maximum(self, name):
        """Messages per second as measured in this run; None if they were not."""
        rates = [run["per_second"] for run in self.runs if run["workload"] == workloads.LATENCY_BASE and run["server"] == name and "per_second" in run]
        return statistics.median(rates) if rates else None

    def same_rate(self, names):
        """Half of the slowest server's maximum, in round thousands."""
        known = [rate for rate in map(self.maximum, names) if rate]
        return max(min(known) // 2000 * 1000, 1000) if known else workloads.SAME_RATE

    def latency(self, workload, names):
        for run_round in range(self.settings["rounds"]):
            for name in in_turn(names, run_round):
                def measure(name=name):
                    with self.start(name, workload) as server:
                        rate = self.same_rate(names) if workload.same_rate else (
                            self.maximum(name) or self.load(server, workload.load, seconds=0.5, warmup=0.2)["per_second"]) / 2
                        return self.load(server, workload.load, rate=rate, seconds=2 * self.settings["seconds"], warmup=self.settings["warmup"])
                entry = self.record(workload, name, run_round, measure)
                if "error" not in entry:
                    self.say(f"  {name}: {entry['rate']:,.0f}/s, p50 {entry['p50_us']:.0f} us, p99 {entry['p99_us']:.0f} us")

    def idle(self, workload, names):
        """One server after the other: they would take the caches from each other."""
        for name in names:
            seconds = self.settings["idle"] if name in (workload.watched or names) else 0
            entry = self.record(workload, name, 0, lambda name=name, seconds=seconds: self.hold(workload, name, seconds))
            if "error" not in entry:
                self.say(f"  {name}: {entry['opened_bytes']:,.0f} bytes each"
                         + (f", {100 * entry['cpu_share']:.2f} % of a core, {entry['pings']:,} pings" if seconds else ""))

    def hold(self, workload, name, seconds):
        with self.start(name, workload) as server:
            # Some first connections touch what is shared by all.
            self.load(server, ("echo",), connections=64, seconds=0.2, warmup=0)
            time.sleep(0.3)
            before = server.memory_bytes()
            with subprocess.Popen(self.load_command(server, workload.load), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  preexec_fn=lambda: os.sched_setaffinity(0, {self.client_core})) as client:
                try:
                    return self.watch(server, client, before, seconds)
                finally:
                    client.kill()

    @staticmethod
    def watch(server, client, before, seconds):
        line = client.stdout.readline()
        if not line:
            raise RuntimeError("not all connections could be opened")
        time.sleep(IDLE_SETTLE_S)
        count = json.loads(line)["open"]
        opened, watched = (server.memory_bytes() - before) / count, {}
        if seconds:
            since, cpu = time.monotonic(), server.cpu_seconds()
            time.sleep(seconds)
            watched["watched_s"] = time.monotonic() - since
            watched["cpu_share"] = (server.cpu_seconds() - cpu) / watched["watched_s"]
        after = (server.memory_bytes() - before) / count
        client.stdin.close()
        result = json.loads(client.stdout.readline())
        return watched | {"connections": count, "opened_bytes": opened, "bytes": after, "pings": result["pings"], "lost": result["lost"]}

    def mixed(self, workload, names):
        for name in names:
            def measure(name=name):
                seconds = self.settings["mixed" if name == "wsbeat" else "mixed_peers"]
                with self.start(name, workload) as server:
                    before = server.memory_bytes()
                    result = self.load(server, workload.load, seconds=seconds)
                    return result | {"peak_bytes": server.memory_bytes("VmHWM") - before, "after_bytes": server.memory_bytes() - before}
            entry = self.record(workload, name, 0, measure)
            if "error" not in entry:
                self.say(f"  {name}: {entry['messages']:,} messages in {entry['seconds']:.0f} s, "
                         f"{1e6 * entry['server_cpu_seconds'] / entry['messages']:.2f} us of CPU each, p99 {entry['p99_us']:,.0f} us, "
                         f"peak {entry['peak_bytes'] / 2**20:,.1f} MiB")


def in_turn(names, run_round):
    """Each round begins with another: what comes and goes on the machine at the pace of the rounds would else meet always the same servers."""
    first = 3 * run_round % len(names)
    return names[first:] + names[:first]


def choose(table, names, what):
    unknown = [name for name in names if name not in table]
    if unknown:
        sys.exit(f"no {what} {', '.join(unknown)}; there are: {' '.join(table)}")
    return [table[name] for name in table if name in names]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", help=f"some of: {' '.join(workloads.BY_KEY)} (default: all)")
    parser.add_argument("--servers", nargs="+", default=None, help=f"some of: {' '.join(servers.BY_KEY)} (default: all; --quick: not Python's)")
    parser.add_argument("--quick", action="store_true", help="one short round: a look, not a result")
    parser.add_argument("--rounds", type=int, help=f"default {FULL['rounds']}")
    parser.add_argument("--seconds", type=float, help=f"of each measurement (default {FULL['seconds']})")
    parser.add_argument("--build", type=Path, default=servers.ROOT / "build" / "bench", help="build folder with the programs (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where results are kept; those of other workloads stay (default: %(default)s)")
    return parser.parse_args()


def save(path, old, bench, args, settings, complete):
    chosen = {run["workload"] for run in bench.runs}
    kept = [run for run in old.get("runs", []) if run["workload"] not in chosen]
    when = old.get("when", {}) | dict.fromkeys(chosen, datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"))
    used = old.get("settings", {}) | dict.fromkeys(chosen, settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": servers.machine(), "versions": servers.versions(args.build), "when": when, "settings": used,
                                "calls_counted_by": "perf stat" if bench.perf_works() else "strace -c", "complete": complete,
                                "runs": kept + bench.runs}, indent=1))


def main():
    args = parse()
    settings = dict(QUICK if args.quick else FULL)
    settings |= {name: getattr(args, name) for name in ("rounds", "seconds") if getattr(args, name)}
    chosen = choose(workloads.BY_KEY, args.workloads or list(workloads.BY_KEY), "workload")
    wanted = args.servers or [server.key for server in servers.ALL if server.quick or not args.quick]
    field = choose(servers.BY_KEY, wanted, "server")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if any(server.key == "gorilla" for server in field) and (problem := servers.build_gorilla(args.build)):
        print(f"gorilla/websocket is left out: {problem}")
    old = json.loads(args.results.read_text()) if args.results.exists() else {}
    present = []
    for server in field:
        problem = server.missing(args.build)
        if problem is None:
            present.append(server)
        else:
            print(f"{server.title} is left out: {problem}")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args, settings, folder)
        for number, workload in enumerate(chosen, 1):
            bench.say(f"{number} of {len(chosen)}: {workload.key} ({workload.group}: {workload.title})")
            names = [server.key for server in present if (not workload.needs or workload.needs in server.can) and (workload.floor or not server.bare)]
            if workload.servers:
                names = [name for name in workload.servers if name.partition("/")[0] in names]
            getattr(bench, workload.kind)(workload, names)
            save(args.results, old, bench, args, settings, complete=number == len(chosen))
        failed = [run for run in bench.runs if "error" in run]
        bench.say(f"done; {len(failed)} of {len(bench.runs)} runs failed; results are in {os.path.relpath(args.results)}")
        if any(run["server"].startswith("wsbeat") for run in failed):
            sys.exit(1)


if __name__ == "__main__":
    main()
