"""Starts a real wsbeat-server on a free port with --events, collects its events and stops it by pid.

The binary comes from the environment: WSBEAT_SERVER (a path; required). Suites with the `start_server` fixture need no cleanup:

    def test_bye(start_server):
        server = start_server("--heartbeat-ms", "500")
        client = server.connect()
        opened = server.wait_event("open")
        client.send_close(1000, "bye")
        closed = server.wait_event("close", conn=opened["conn"])
        assert closed["clean"] and server.stop() == 0
"""

import json
import os
import signal
import subprocess
import threading
import time

import wsraw

START_TIMEOUT_S = 30.0  # generous: sanitizer builds on busy machines
EVENT_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 30.0


def binary():
    """Path of the wsbeat-server under test."""
    path = os.environ.get("WSBEAT_SERVER")
    if not path:
        raise RuntimeError("set WSBEAT_SERVER to the wsbeat-server to test")
    return path


def run(*flags, timeout=START_TIMEOUT_S, **options):
    """Runs the program to its end (wrong flags, --help): a CompletedProcess with text output."""
    return subprocess.run([binary(), *map(str, flags)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout, check=False, **options)


class Server:
    """A running wsbeat-server. `port` (0 for Unix sockets), `unix`, `pid`, `events` (dicts in order) and `stderr` (text so far).

    flags: command line, after `--port 0 --events` (a later --port or --unix wins).
    prefix: words put before the command, such as ["ip", "netns", "exec", name] or ["prlimit", "--nofile=64"]; they must exec.
    host: where connect() and http() go. wait: False gives a server of which nothing was awaited yet.
    Further options go to subprocess.Popen (env, preexec_fn, pass_fds, cwd).
    """

    def __init__(self, *flags, prefix=(), host="127.0.0.1", wait=True, **options):
        self.host = host
        self.port, self.unix = 0, None
        self.events = []
        self.times = []  # time.monotonic() when each event was read
        self.eof = False
        self._stderr = []
        self._changed = threading.Condition()
        command = [*prefix, binary(), "--port", "0", "--events", *map(str, flags)]
        self.tls = "--tls-cert" in command
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        **options)
        self.pid = self.process.pid
        self._threads = [threading.Thread(target=self._read_events, daemon=True),
                         threading.Thread(target=self._read_stderr, daemon=True)]
        for thread in self._threads:
            thread.start()
        if wait:
            self.wait_listening()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def _read_events(self):
        for line in self.process.stdout:
            event = json.loads(line)
            with self._changed:
                self.events.append(event)
                self.times.append(time.monotonic())
                self._changed.notify_all()
        with self._changed:
            self.eof = True
            self._changed.notify_all()

    def _read_stderr(self):
        for line in self.process.stderr:
            with self._changed:
                self._stderr.append(line.decode(errors="replace"))
                self._changed.notify_all()

    @property
    def stderr(self):
        with self._changed:
            return "".join(self._stderr)

    def wait_listening(self, timeout=START_TIMEOUT_S):
        """Waits until connections are accepted; sets port and unix."""
        event = self.wait_event("listening", timeout=timeout)
        self.port, self.unix = event.get("port", 0), event.get("unix")

    def wait_event(self, match, timeout=EVENT_TIMEOUT_S, start=0, **fields):
        """The first event from index `start` on that fits: `match` is an event's name or a predicate, `fields` must be equal.

        Events that came before the call count. Raises AssertionError with the events seen if none comes in time.
        """
        deadline = time.monotonic() + timeout
        index = start
        with self._changed:
            while True:
                while index < len(self.events):
                    event = self.events[index]
                    index += 1
                    if _fits(event, match, fields):
                        return event
                remaining = deadline - time.monotonic()
                if remaining <= 0 or self.eof:
                    raise AssertionError(f"no event {match} {fields} in {timeout} s; the last seen: {self.events[-10:]}; "
                                         f"stderr: {''.join(self._stderr)[-2000:]}")
                self._changed.wait(remaining)

    def wait_events(self, match, count, timeout=EVENT_TIMEOUT_S, **fields):
        """The first `count` events that fit, as wait_event."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                found = [event for event in self.events if _fits(event, match, fields)]
                if len(found) >= count:
                    return found[:count]
                remaining = deadline - time.monotonic()
                if remaining <= 0 or self.eof:
                    raise AssertionError(f"{len(found)} of {count} events {match} {fields} in {timeout} s; "
                                         f"stderr: {''.join(self._stderr)[-2000:]}")
                self._changed.wait(remaining)

    def wait_stderr(self, text, timeout=EVENT_TIMEOUT_S):
        """Waits until `text` stands in stderr and gives all of it."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while text not in "".join(self._stderr):
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise AssertionError(f"no {text!r} on stderr: {''.join(self._stderr)[-2000:]}")
                self._changed.wait(remaining)
            return "".join(self._stderr)

    def mark(self):
        """Index of the next event, for wait_event(start=...)."""
        with self._changed:
            return len(self.events)

    def connect(self, path="/", **options):
        """A wsraw.Client on this server (options of wsraw.connect)."""
        return wsraw.connect(*self._address(options), path, **options)

    def connect_open(self, path="/", **options):
        """(client, its open event). Not for connections opened in parallel."""
        start = self.mark()
        client = self.connect(path, **options)
        return client, self.wait_event("open", start=start)

    def http(self, path="/", **options):
        """One HTTP request to this server (options of wsraw.http)."""
        return wsraw.http(*self._address(options), path, **options)

    def socket(self, **options):
        """A connected wsraw.Stream on which nothing was sent (options of wsraw.open_socket)."""
        return wsraw.Stream(wsraw.open_socket(*self._address(options), **options))

    def _address(self, options):
        options.setdefault("tls", self.tls)
        if self.unix:
            options.setdefault("unix", self.unix)
            return (None,)
        options.setdefault("host", self.host)
        return (self.port,)

    def metrics(self):
        """/metrics as {"name{labels}": number}."""
        lines = self.http("/metrics").body.decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def resident_kib(self):
        """Resident memory in KiB."""
        return self._status("VmRSS")

    def maps(self, library):
        """Whether a library of that name is loaded."""
        with open(f"/proc/{self.pid}/maps", encoding="ascii", errors="replace") as file:
            return library in file.read()

    def threads(self):
        return self._status("Threads")

    def descriptors(self):
        """Number of open descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_seconds(self):
        """User and system time spent so far."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _status(self, name):
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return int(line.split()[1])
        raise KeyError(name)

    def running(self):
        return self.process.poll() is None

    def send_signal(self, number):
        """Sends a signal to this process alone."""
        self.process.send_signal(number)

    def wait(self, timeout=STOP_TIMEOUT_S):
        """Exit code, once the process ended by itself and its output was read to the end."""
        code = self.process.wait(timeout)
        for thread in self._threads:
            thread.join(timeout)
        return code

    def stop(self, number=signal.SIGTERM, timeout=STOP_TIMEOUT_S):
        """Graceful stop; gives the exit code. The events stay readable."""
        if self.running():
            self.send_signal(number)
        return self.wait(timeout)

    def kill(self):
        """Ends the process at once if it still runs, and closes its pipes. Safe to call twice."""
        if self.running():
            self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join(STOP_TIMEOUT_S)
        self.process.stdout.close()
        self.process.stderr.close()


def _fits(event, match, fields):
    named = match(event) if callable(match) else event["event"] == match
    return named and all(name in event and event[name] == value for name, value in fields.items())
