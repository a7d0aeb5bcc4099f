#!/usr/bin/env python3
"""Many idle connections: resident memory for each, and the CPU time that their heartbeat costs."""

import argparse
import sys
import time

import common
from crowd import Crowd, raise_descriptor_limit

LEAST_SETTLE_S = 2.0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    common.add_build_argument(parser)
    parser.add_argument("--connections", type=int, default=9000, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=60.0, help="for which CPU time is counted (default: %(default)s)")
    parser.add_argument("--heartbeat-ms", default="25000", help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=1, help="default: %(default)s")
    args = parser.parse_args()
    if not raise_descriptor_limit(args.connections):
        sys.exit("the hard limit of descriptors is too low")

    server_core, _ = common.cores()
    flags = ["--heartbeat-ms", args.heartbeat_ms, "--workers", args.workers]
    with common.QuietServer(args.build, server_core, *flags) as server:
        # The first connections touch what is shared by all.
        with Crowd(server.port, name="first") as first:
            first.open(20)
        time.sleep(LEAST_SETTLE_S)
        before = server.resident_bytes()
        with Crowd(server.port, sources=[f"127.0.0.{n}" for n in range(1, 9)]) as crowd:
            crowd.open(args.connections)
            crowd.run(LEAST_SETTLE_S)
            opened = server.resident_bytes()
            cpu, since = server.cpu_seconds(), time.monotonic()
            crowd.run(args.seconds)
            cpu_share = (server.cpu_seconds() - cpu) / (time.monotonic() - since)
            after = server.resident_bytes()
            ended = sum(member.state != "open" for member in crowd.members)
            pings = sum(member.pings for member in crowd.members)
        rows = [["connections", f"{args.connections}", ""],
                ["memory per connection, just opened", f"{(opened - before) / args.connections:,.0f} bytes", ""],
                [f"memory per connection after {args.seconds:.0f} s", f"{(after - before) / args.connections:,.0f} bytes",
                 "wanted <= 3,072"],
                [f"CPU of one core at T = {args.heartbeat_ms} ms", f"{100 * cpu_share:.2f} %", "wanted < 1 %"],
                ["pings answered", f"{pings}", ""],
                ["connections lost", f"{ended}", "wanted 0"]]
        common.table(["idle connections", "", ""], rows)


if __name__ == "__main__":
    main()
