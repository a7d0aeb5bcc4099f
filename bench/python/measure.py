"""What compare.py is built of: cores, the load client, a server's memory, plain tables."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))


def build_folder(text):
    """A build folder that has the load client."""
    folder = Path(text)
    if not (folder / "bench/load").exists():
        raise argparse.ArgumentTypeError(f"{folder / 'bench/load'} is missing: run scripts/build.sh dev")
    return folder


def on_core(core):
    """For subprocess: the child runs on this core only."""
    return lambda: os.sched_setaffinity(0, {core})


def cores():
    """(server's core, client's core); the same for both if there is only one."""
    available = sorted(os.sched_getaffinity(0))
    return available[0], available[-1]


def echo_load(build, server, core, **options):
    """Runs the load client and gives what it says. Options are its flags."""
    command = [str(build / "bench/load"), "echo", "--port", str(server.port), "--server-pid", str(server.pid)]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=on_core(core))
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}: {result.stderr.strip()}")
    return json.loads(result.stdout)


def resident_bytes(pid):
    """User space only: what the kernel keeps for its sockets is not in it."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))


def table(head, rows):
    """Prints rows of strings under a head, columns aligned."""
    lines = [list(map(str, line)) for line in [head, *rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        print("  ".join(text.ljust(width) if column == 0 else text.rjust(width)
                        for column, (text, width) in enumerate(zip(line, widths))).rstrip())
