"""Saved results, asked for medians and spreads."""

import json
import statistics

import servers
import workloads


class Results:
    def __init__(self, path):
        self.saved = json.loads(path.read_text())

    def runs(self, workload, server, measured=True):
        """Runs that worked: the measured rounds, or those that counted system calls and openings."""
        return [run for run in self.saved["runs"]
                if run["workload"] == workload and run["server"] == server and "error" not in run and isinstance(run["round"], int) == measured]

    def error(self, workload, server):
        errors = [run["error"] for run in self.saved["runs"] if run["workload"] == workload and run["server"] == server and "error" in run]
        return errors[0] if errors else None

    def names(self, workload):
        """Servers that took part, in the order of the list."""
        taken = {run["server"] for run in self.saved["runs"] if run["workload"] == workload}
        keys = [server.key for server in servers.ALL if not server.bare]
        return sorted((name for name in taken if name.partition("/")[0] in keys), key=lambda name: (keys.index(name.partition("/")[0]), name))

    def workloads(self):
        done = {run["workload"] for run in self.saved["runs"]}
        return [workload for workload in workloads.ALL if workload.key in done]

    def values(self, workload, server, what):
        return [what(run) for run in self.runs(workload, server)]

    def median(self, workload, server, what):
        values = self.values(workload, server, what)
        return statistics.median(values) if values else None

    def rate(self, workload, server):
        """Work per second of the server's CPU time."""
        return self.median(workload, server, per_cpu_second)

    def ratio(self, workload, server):
        """How much more wsbeat does."""
        ours, theirs = self.rate(workload, "wsbeat"), self.rate(workload, server)
        return ours / theirs if ours and theirs else None

    def calls(self, workload, server):
        counted = [run for run in self.runs(workload, server, measured=False) if "calls" in run]
        return counted[0]["calls"] / counted[0]["messages"] if counted and counted[0].get("messages") else None


def per_cpu_second(run):
    return run["messages"] / max(run["server_cpu_seconds"], 1e-6)


def title(name):
    key, _, workers = name.partition("/")
    return servers.BY_KEY[key].title + (f", {workers} workers" if workers else "")
