#!/usr/bin/env python3
"""Echo of small messages: wsbeat-server against the conventional libwebsockets echo (ws role, one lws_write per WRITEABLE, poll loop).

Both are driven by the same client in interleaved rounds, server on one core and client on another. What counts is messages per second
of the server's CPU time (user and system), so that neither the client nor other work on the machine decides."""

import argparse
import statistics
import subprocess

import common

LEAST = {1: 0.95, 16: 8.0}  # the ratios we want to hold, by messages in flight


def measure_wsbeat(build, load_options):
    server_core, client_core = common.cores()
    with common.QuietServer(build, server_core, "--mode", "echo", "--workers", "1") as server:
        return common.load(build, server.port, client_core, server_pid=server.pid, **load_options)


def measure_lws(build, load_options):
    server_core, client_core = common.cores()
    process = subprocess.Popen([common.program(build, "bench/lws_echo")], stdout=subprocess.PIPE, text=True,
                               preexec_fn=common.on_core(server_core))
    try:
        port = int(process.stdout.readline().split()[1])
        return common.load(build, port, client_core, server_pid=process.pid, **load_options)
    finally:
        process.terminate()
        process.wait()


PROGRAMS = {"wsbeat-server": measure_wsbeat, "libwebsockets": measure_lws}


def per_cpu_second(result):
    return result["messages"] / max(result["server_cpu_seconds"], 0.01)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    common.add_build_argument(parser)
    parser.add_argument("--connections", type=int, default=64, help="default: %(default)s")
    parser.add_argument("--size", type=int, default=64, help="bytes of a message (default: %(default)s)")
    parser.add_argument("--depths", type=int, nargs="+", default=[1, 16], help="messages in flight (default: 1 16)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement (default: %(default)s)")
    parser.add_argument("--text", action="store_true", help="text messages (default: binary)")
    args = parser.parse_args()

    results = {}
    for _ in range(args.rounds):
        for depth in args.depths:
            for name, measure in PROGRAMS.items():
                options = {"connections": args.connections, "size": args.size, "depth": depth, "seconds": args.seconds}
                results.setdefault((depth, name), []).append(measure(args.build, options | ({"text": True} if args.text else {})))

    print(f"{args.connections} connections, {args.size} bytes, medians of {args.rounds} rounds of {args.seconds} s")
    rows = []
    for depth in args.depths:
        medians = {}
        for name in PROGRAMS:
            runs = results[depth, name]
            medians[name] = statistics.median(map(per_cpu_second, runs))
            rows.append([name, depth, f"{medians[name]:,.0f}", " ".join(f"{per_cpu_second(run) / 1000:,.0f}k" for run in runs),
                         f"{statistics.median(run['per_second'] for run in runs):,.0f}",
                         f"{statistics.median(run['p50_us'] for run in runs):,.0f}",
                         f"{statistics.median(run['p99_us'] for run in runs):,.0f}"])
        ratio = medians["wsbeat-server"] / medians["libwebsockets"]
        rows.append(["  ratio", depth, f"{ratio:.2f}", f"wanted {LEAST[depth]}" if depth in LEAST else "", "", "", ""])
    common.table(["program", "in flight", "messages per server CPU s", "rounds", "messages/s", "p50 us", "p99 us"], rows)


if __name__ == "__main__":
    main()
