"""wsbeat-server, its peers and the floor below them all: how each is started, on which core, and what it can do."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "bench" / "peers"
START_TIMEOUT_S = 15.0


class Server:
    """One kind of server. `flags` of start(): broadcast, deflate, tls (certificate, key), heartbeat (seconds), workers."""

    bare = False  # only a measure, no server to be compared with

    def __init__(self, key, title, command, can=("deflate",), quick=True):
        self.key, self.title, self.command, self.can, self.quick = key, title, command, set(can), quick

    def arguments(self, tls=None, workers=1, **flags):
        out = []
        for name, value in flags.items():
            out += ["--" + name] + ([] if value is True else [str(value)])
        return out + (["--cert", str(tls[0]), "--key", str(tls[1])] if tls else [])

    def missing(self, build):
        """Why it cannot be started, None if it can."""
        program = self.command(build)
        for part in program[:2]:
            if part.startswith("/") and not Path(part).exists():
                return f"{part} is missing"
        return None

    def start(self, build, cores, **flags):
        return Running(self, self.command(build) + self.arguments(**flags), cores)


class Wsbeat(Server):
    def arguments(self, tls=None, workers=1, broadcast=False, deflate=False, heartbeat=None):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        out = ["--quiet", "--port", str(port), "--workers", str(workers), "--mode", "broadcast" if broadcast else "echo"]
        out += ["--deflate"] if deflate else []
        out += ["--heartbeat-ms", str(heartbeat * 1000)] if heartbeat else []
        return out + (["--tls-cert", str(tls[0]), "--tls-key", str(tls[1])] if tls else [])


class Floor(Server):
    """Bare system calls (bench/floor)."""

    bare = True

    def missing(self, build):
        problem = super().missing(build)
        if problem is None:
            tried = subprocess.run([*self.command(build), "--check"], capture_output=True, text=True, check=False)
            problem = tried.stderr.strip() or "it does not start" if tried.returncode else None
        return problem


class Running:
    """A server process. As a context it is stopped at the end, by its process id."""

    def __init__(self, server, command, cores):
        self.server = server
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=lambda: os.sched_setaffinity(0, cores))
        self.pid = self._process.pid
        try:
            self.port = self._find_port(command)
        except BaseException:
            self.stop()
            raise

    def _find_port(self, command):
        if not isinstance(self.server, Wsbeat):
            line = self._process.stdout.readline().decode()
            match = re.match(r"listening (\d+)", line)
            if not match:
                raise RuntimeError(f"{self.server.title} did not start: {self._process.stderr.read().decode()[-300:]}")
            return int(match[1])
        port = int(command[command.index("--port") + 1])
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return port
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("wsbeat-server did not start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def alive(self):
        return self._process.poll() is None

    def stop(self):
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._process.stderr.close()

    def memory_bytes(self, field="VmRSS"):
        """User space only: what the kernel keeps for its sockets is not in it."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.M)[1]) * 1024

    def cpu_seconds(self):
        """User and system time of all threads so far."""
        total = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9


def _program(*parts):
    return lambda build: [str(build.joinpath(*parts[:1])), *parts[1:]]


ALL = [
    Wsbeat("wsbeat", "wsbeat", lambda build: [os.environ.get("WSBEAT_SERVER") or str(build / "bin/wsbeat-server")]),
    Server("lws", "libwebsockets, poll", _program("bench/peer-lws"), can=()),
    Server("lws-uv", "libwebsockets, libuv", _program("bench/peer-lws", "--uv"), can=()),
    Server("beast", "Boost.Beast", _program("bench/peer-beast")),
    Server("gorilla", "gorilla/websocket", _program("bench/peer-gorilla")),
    Server("ws", "npm ws", lambda build: ["node", str(PEERS / "ws/server.mjs")]),
    Server("websockets", "Python websockets", lambda build: ["/usr/bin/python3", str(PEERS / "websockets_server.py")], quick=False),
    Server("aiohttp", "Python aiohttp", lambda build: ["/usr/bin/python3", str(PEERS / "aiohttp_server.py")], quick=False),
    Floor("floor", "bare system calls, epoll", _program("bench/floor"), can=()),
    Floor("floor-uring", "bare system calls, io_uring", _program("bench/floor", "--uring"), can=()),
]
BY_KEY = {server.key: server for server in ALL}


def softirq_thread(core):
    """The kernel thread that takes network work off who caused it, on this core; None where it cannot be seen."""
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() == f"ksoftirqd/{core}":
                return int(path.parent.name)
        except OSError:
            pass  # a process that has just ended
    return None


def build_gorilla(build):
    """Debian has gorilla/websocket as source in its own GOPATH; nothing is fetched. Returns what went wrong, or None."""
    environment = os.environ | {"GOPATH": "/usr/share/gocode", "GO111MODULE": "off", "GOFLAGS": ""}
    result = subprocess.run(["go", "build", "-o", str(build / "bench/peer-gorilla"), "./bench/peers/gorilla"], cwd=ROOT, env=environment,
                            capture_output=True, text=True, check=False)
    return result.stderr.strip() or "go build failed" if result.returncode else None


def versions(build):
    """{what: version} of everything that took part."""
    def first(command):
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()[0]
        except (OSError, subprocess.CalledProcessError, IndexError):
            return "?"

    def debian(package):
        return first(["dpkg-query", "-W", "-f=${Version}", package])

    lock = (PEERS / "ws/package-lock.json").read_text()
    npm = dict(re.findall(r'"node_modules/(ws|bufferutil)": \{\s*"version": "([^"]+)"', lock))
    return {
        "wsbeat": first([str(build / "bin/wsbeat-server"), "--version"]).split()[-1],
        "compiler": first(["c++", "--version"]),
        "libwebsockets": debian("libwebsockets-dev"),
        "libuv": debian("libuv1-dev"),
        "OpenSSL": debian("libssl-dev"),
        "Boost": debian("libboost-dev"),
        "liburing": debian("liburing-dev"),
        "gorilla/websocket": debian("golang-github-gorilla-websocket-dev"),
        "Go": first(["go", "version"]).removeprefix("go version "),
        "node": first(["node", "--version"]),
        "npm ws": npm.get("ws", "?"),
        "npm bufferutil": npm.get("bufferutil", "?"),
        "Python": first(["/usr/bin/python3", "--version"]).removeprefix("Python "),
        "websockets": debian("python3-websockets"),
        "aiohttp": debian("python3-aiohttp"),
        "uvloop": debian("python3-uvloop"),
    }


def machine():
    """{what: text} of where this runs."""
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    memory = int(re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.M)[1])
    virtual = "hypervisor" in Path("/proc/cpuinfo").read_text()
    name = re.search(r'^PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text(), re.M)
    return {
        "processor": f"{cpu[1] if cpu else 'unknown'}, {os.cpu_count()} cores{', virtual machine' if virtual else ''}",
        "memory": f"{memory / 2**20:.0f} GiB",
        "kernel": os.uname().release.split("-")[0],
        "TCP congestion control": Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(),
        "system": name[1] if name else sys.platform,
    }
