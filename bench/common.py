"""What the measuring scripts share: programs, cores, CPU time and plain tables."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 10.0
sys.path.insert(0, str(ROOT / "tests" / "support"))


def add_build_argument(parser):
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "dev", help="build folder with the programs (default: %(default)s)")


def program(build, *candidates):
    """The first of these paths in the build folder that exists."""
    for candidate in candidates:
        if (build / candidate).exists():
            return str(build / candidate)
    sys.exit(f"{build / candidates[0]} is missing: configure with -DWSBEAT_BUILD_BENCH=ON and build")


def server_program(build):
    return os.environ.get("WSBEAT_SERVER") or program(build, "bin/wsbeat-server")


class QuietServer:
    """wsbeat-server as it is run for service, without --events: a line for each pong would count as its own cost."""

    def __init__(self, build, core, *flags):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process = subprocess.Popen([server_program(build), "--port", str(self.port), "--quiet", *map(str, flags)],
                                         preexec_fn=on_core(core))
        self.pid = self._process.pid
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self.__exit__()
                    sys.exit("wsbeat-server did not start")
                time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()

    def resident_bytes(self):
        """User space only: what the kernel keeps for its sockets is not in it."""
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))

    def cpu_seconds(self):
        """User and system time spent so far."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def on_core(core):
    """For subprocess: the child runs on this core only (None: anywhere)."""
    return None if core is None else lambda: os.sched_setaffinity(0, {core})


def cores():
    """(server's core, client's core); the same for both if there is only one."""
    available = sorted(os.sched_getaffinity(0))
    return available[0], available[-1]


def load(build, port, core, **options):
    """Runs the load client against 127.0.0.1:port and gives its result. Options are its flags, with _ for -."""
    command = [program(build, "bench/load"), "--port", str(port)]
    for name, value in options.items():
        command += ["--" + name.replace("_", "-")] + ([] if value is True else [str(value)])
    result = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=on_core(core))
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}: {result.stderr.strip()}")
    return json.loads(result.stdout)


def table(head, rows):
    """Prints rows of strings under a head, columns aligned."""
    lines = [list(map(str, line)) for line in [head, *rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        print("  ".join(text.ljust(width) if column == 0 else text.rjust(width)
                        for column, (text, width) in enumerate(zip(line, widths))).rstrip())
