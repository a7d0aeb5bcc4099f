#!/usr/bin/env python3
"""Writes docs/performance.md and its plots from saved results (bench/run.py). The words are in bench/performance.md.in; what stands there between
{{ and }} is put in from the results. --print shows the tables instead of writing anything."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import servers
from results import Results, per_cpu_second, title
from run import RESULTS

ROOT = servers.ROOT
PAGE = ROOT / "docs" / "performance.md"


def number(value, digits=3):
    """With thousands separated, and no more than these significant digits."""
    if value is None:
        return "-"
    if value >= 1000:
        scale = 10 ** max(len(str(int(value))) - digits, 0)
        return f"{round(value / scale) * scale:,.0f}"
    return f"{value:.{max(digits - len(str(int(value))), 0)}f}" if value < 100 else f"{value:.0f}"


def markdown(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def spread(values):
    return f"{number(min(values))} - {number(max(values))}" if values else "-"


def best_of(results, workload, names):
    rates = {name: results.rate(workload, name) for name in names}
    return max((name for name in names if rates[name]), key=lambda name: rates[name], default=None)


def rate_table(results, workload):
    names = results.names(workload.key)
    best = best_of(results, workload.key, names)
    rows = []
    for name in names:
        rate = results.rate(workload.key, name)
        if rate is None:
            rows.append([title(name), "failed: " + (results.error(workload.key, name) or "?")] + [""] * 6)
            continue
        ratio = results.ratio(workload.key, name)
        rows.append([
            title(name), f"**{number(rate)}**" if name == best else number(rate), spread(results.values(workload.key, name, per_cpu_second)),
            "" if name == "wsbeat" or ratio is None else f"{ratio:.2f}", number(1e6 / rate), number(results.calls(workload.key, name)),
            number(results.median(workload.key, name, lambda run: run["per_second"])),
            number(results.median(workload.key, name, lambda run: run["p99_us"]))])
    head = ["", f"{workload.units} per CPU second", "spread", "wsbeat is times", "CPU us each", "system calls each", "per second", "p99 us"]
    return f"### {workload.group}: {workload.title}\n\n" + markdown(head, rows)


def latency_table(results, workload):
    rows = []
    for name in results.names(workload.key):
        median = lambda key, name=name: results.median(workload.key, name, lambda run: run[key])  # noqa: E731
        rows.append([title(name), number(median("rate")), *[number(median(key)) for key in ("p50_us", "p90_us", "p99_us", "p999_us")]]
                    if results.runs(workload.key, name) else [title(name), "failed: " + (results.error(workload.key, name) or "?"), "", "", "", ""])
    return f"### {workload.group}: {workload.title}\n\n" + markdown(["", "messages per second", "p50 us", "p90 us", "p99 us", "p99.9 us"], rows)


def idle_table(results, workload):
    rows, seconds = [], []
    for name in results.names(workload.key):
        runs = results.runs(workload.key, name)
        if not runs:
            rows.append([title(name), "failed: " + (results.error(workload.key, name) or "?"), "", "", "", ""])
            continue
        run = runs[0]
        watched = [number(run["bytes"], 4), f"{100 * run['cpu_share']:.2f} %", run["pings"]] if "cpu_share" in run else ["-", "-", "-"]
        seconds += [run["watched_s"]] if "cpu_share" in run else []
        rows.append([title(name), number(run["opened_bytes"], 4), *watched, run["lost"]])
    head = ["", "bytes each, just opened", f"after {min(seconds, default=0):.0f} s more", "of one core, a ping every 25 s", "pings since opening", "lost"]
    return f"### {workload.group}: {workload.title}\n\n" + markdown(head, rows)


def mixed_table(results, workload):
    rows = []
    for name in results.names(workload.key):
        runs = results.runs(workload.key, name)
        if not runs:
            rows.append([title(name), "failed: " + (results.error(workload.key, name) or "?"), "", "", "", "", "", ""])
            continue
        run = runs[0]
        rows.append([title(name), f"{run['seconds']:.0f}", f"{run['messages']:,}", f"{run['visits']:,}", number(1e6 * run["server_cpu_seconds"] / run["messages"]),
                     number(run["p50_us"]), number(run["p99_us"]), f"{run['peak_bytes'] / 2**20:.1f}"])
    head = ["", "seconds", "messages", "visits", "CPU us each", "talkers' p50 us", "p99 us", "peak memory MiB"]
    return f"### {workload.group}: {workload.title}\n\n" + markdown(head, rows)


TABLES = {"rate": rate_table, "latency": latency_table, "idle": idle_table, "mixed": mixed_table}

# What is held to: workload, peer, least ratio.
RATIOS = [("echo-64", "lws", 1.0), ("echo-64", "beast", 1.35), ("echo-64", "gorilla", 1.35), ("echo-64", "ws", 2.0), ("echo-64-deep", "lws", 10.0),
          ("echo-64-deep", "beast", 10.0), ("echo-64-deep", "gorilla", 10.0), ("echo-64-deep", "ws", 10.0), ("echo-16k", "beast", 1.5),
          ("echo-16k", "gorilla", 5.0), ("echo-1m", "beast", 1.2), ("echo-1m", "gorilla", 2.5), ("fanout-1000", "lws", 1.15), ("fanout-1000", "beast", 1.35),
          ("fanout-1000", "gorilla", 1.7), ("handshakes", "lws", 2.0), ("handshakes", "gorilla", 3.0)]
FLOORS = ("floor", "floor-uring")
LEVEL_WITH_BEST = ["tls-1k", "tls-16k", "tls-1m", "handshakes-tls"]
LEVEL = 0.97  # measurements of equals differ by so much
IDLE_BYTES = 1792
IDLE_SHARE = 0.005


def verdict(reached):
    return "yes" if reached else "**no**"


def targets(results):
    keyed = {workload.key: workload for workload in results.workloads()}
    rows = []

    def name_of(key):
        return f"{keyed[key].group}: {keyed[key].title}"

    for key, peer, least in RATIOS:
        ratio = results.ratio(key, peer) if key in keyed else None
        if ratio is not None:
            rows.append([name_of(key), f"{least:.2f} times {title(peer)}", f"{ratio:.2f}", verdict(ratio >= least * (LEVEL if least == 1.0 else 1))])
    for key in LEVEL_WITH_BEST:
        peers = [name for name in results.names(key) if name != "wsbeat"] if key in keyed else []
        best = best_of(results, key, peers)
        if best and results.rate(key, "wsbeat"):
            rows.append([name_of(key), f"level with the best ({title(best)})", f"{results.ratio(key, best):.2f}", verdict(results.ratio(key, best) >= LEVEL)])
    for key in ("idle-9000", "idle-18000"):
        for run in results.runs(key, "wsbeat") if key in keyed else []:
            rows.append([name_of(key), f"at most {IDLE_BYTES:,} bytes each", number(run["bytes"], 4), verdict(run["bytes"] <= IDLE_BYTES)])
            if key == "idle-9000" and "cpu_share" in run:
                rows.append([name_of(key), f"below {100 * IDLE_SHARE} % of a core", f"{100 * run['cpu_share']:.2f} %", verdict(run["cpu_share"] < IDLE_SHARE)])
    for key in (key for key in keyed if keyed[key].kind == "latency" and results.runs(key, "wsbeat")):
        p99 = {name: results.median(key, name, lambda run: run["p99_us"]) for name in results.names(key)}
        best = min((name for name in p99 if name != "wsbeat" and p99[name]), key=p99.get, default=None)
        if best:
            rows.append([name_of(key), f"p99 no worse than the best ({title(best)}: {number(p99[best])} us)", f"{number(p99['wsbeat'])} us",
                         verdict(p99["wsbeat"] * LEVEL <= p99[best])])
    return markdown(["workload", "wanted", "measured", "reached"], rows)


def floor_reaches(results, key, peer, name):
    """How much more bare system calls do than a peer."""
    ours, theirs = results.rate(key, name), results.rate(key, peer)
    return ours / theirs if ours and theirs else None


def floor(results):
    """How far bare system calls come, and what they would reach of the ratios that are missed."""
    measured = [workload for workload in results.workloads() if any(results.rate(workload.key, name) for name in FLOORS)]
    if not measured:
        return "Not measured."
    rows, missed = [], []
    for workload in measured:
        rates = [results.rate(workload.key, name) for name in ("wsbeat", *FLOORS)]
        share = f"{100 * rates[0] / rates[1]:.0f} %" if rates[0] and rates[1] else "-"
        rows.append([f"{workload.group}: {workload.title}", *[number(1e6 / rate) if rate else "-" for rate in rates],
                     *[number(results.calls(workload.key, name)) for name in ("wsbeat", *FLOORS)], share])
        for _, peer, least in (held for held in RATIOS if held[0] == workload.key):
            ratio = results.ratio(workload.key, peer)
            if ratio is None or ratio >= least * (LEVEL if least == 1.0 else 1):
                continue
            reached = [floor_reaches(results, workload.key, peer, name) for name in FLOORS]
            best = max((value for value in reached if value), default=0)
            missed.append([f"{workload.group}: {workload.title}", f"{least:.2f} times {title(peer)}", f"{ratio:.2f}",
                           *[f"{value:.2f}" if value else "-" for value in reached], "yes" if best >= least else "**no**"])
    head = ["microseconds of CPU time each", "wsbeat", "bare calls, epoll", "bare calls, io_uring", "system calls each: wsbeat", "epoll", "io_uring",
            "wsbeat's rate over that of bare calls, epoll"]
    text = markdown(head, rows)
    pairs = [(results.rate(workload.key, FLOORS[0]), results.rate(workload.key, FLOORS[1])) for workload in measured]
    times = [epoll / uring for epoll, uring in pairs if epoll and uring]
    if times:
        text += f"\n\nBy io_uring the same work takes {min(times):.2f} to {max(times):.2f} times the CPU time that it takes by epoll."
    if not missed:
        return text + "\n\nEvery ratio that was wanted in these rows is reached."
    beyond = sum(1 for row in missed if row[-1] != "yes")
    return (text + f"\n\nRatios wanted in these rows and missed by wsbeat: {len(missed)}. Bare system calls miss {beyond} of them as well, either way:\n\n"
            + markdown(["", "wanted", "wsbeat", "bare calls, epoll", "bare calls, io_uring", "bare calls reach it"], missed))


def facts(table):
    return "\n".join(f"- {what}: {text}" for what, text in table.items())


def printed(program, *arguments):
    result = subprocess.run([str(program), *arguments], capture_output=True, text=True, check=False) if program.exists() else None
    return "```text\n" + (result and result.stdout.strip() or "not built") + "\n```"


def profile(results):
    """Where the time goes: rows of shares."""
    rows = []
    for workload in results.workloads():
        for name in results.names(workload.key):
            for run in (run for run in results.runs(workload.key, name, measured=False) if "profile" in run):
                shares = run["profile"]
                kernel = sum(share for dso, share in shares.items() if dso.startswith("[kernel"))
                wsbeat = sum(share for dso, share in shares.items() if "wsbeat" in dso)
                lws = sum(share for dso, share in shares.items() if "websockets" in dso)
                rows.append([f"{workload.group}: {workload.title}: {title(name)}", *[f"{share:.0f} %" for share in (kernel, wsbeat, lws, 100 - kernel - wsbeat - lws)]])
    return markdown(["", "kernel", "wsbeat", "libwebsockets", "others (libc, libuv, OpenSSL)"], rows)


def settings(results):
    """One sentence for each way in which the saved workloads were measured."""
    ways = {}
    for workload in results.workloads():
        used = results.saved["settings"][workload.key]
        way = f"{used['rounds']} round{'s' if used['rounds'] != 1 else ''} of {used['seconds']:g} s after {used['warmup']:g} s of warming up"
        ways.setdefault((way, results.saved["when"][workload.key][:10]), []).append(workload.key)
    return "; ".join(f"{way}, on {day}" + (f" ({', '.join(keys)})" if len(ways) > 1 else "") for (way, day), keys in ways.items())


def fill(text, results, build):
    def value(match):
        what, _, argument = match[1].strip().partition(" ")
        if what == "tables":
            return "\n\n".join(TABLES[workload.kind](results, workload) for workload in results.workloads() if workload.group in argument.split(", "))
        return {"targets": lambda: targets(results), "machine": lambda: facts(results.saved["machine"]), "versions": lambda: facts(results.saved["versions"]),
                "footprint": lambda: printed(build / "bench/footprint"), "single_calls": lambda: printed(build / "bench/floor", "--calls"),
                "floor": lambda: floor(results), "settings": lambda: settings(results), "profile": lambda: profile(results),
                "calls": lambda: results.saved["calls_counted_by"]}[what]()

    return re.sub(r"\{\{(.*?)\}\}", value, text)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="default: %(default)s")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "bench", help="build folder with the programs (default: %(default)s)")
    parser.add_argument("--print", action="store_true", help="show the tables, write nothing")
    args = parser.parse_args()
    if not args.results.exists():
        sys.exit(f"{args.results} is missing: run bench/run.py first")
    results = Results(args.results)
    if args.print:
        print(targets(results), floor(results), *(TABLES[workload.kind](results, workload) for workload in results.workloads()), sep="\n\n")
        return
    template = (ROOT / "bench" / "performance.md.in").read_text()
    PAGE.write_text(fill(template, results, args.build))
    import plot  # noqa: PLC0415 - needs matplotlib, which the tables do not
    plots = plot.draw(results, PAGE.parent / "performance")
    print(f"wrote {PAGE.relative_to(ROOT)} and {len(plots)} plots beside it")


if __name__ == "__main__":
    main()
