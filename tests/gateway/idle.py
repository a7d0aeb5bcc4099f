"""Half a minute of idle connections through gateways that cut after 3 s, on a thread of its own: what test_idle.py looks at in the end."""

import contextlib
import threading
import time

import gateways
import wsraw
from server import Server
from wsraw import PING, ConnectionEnded

IDLE_S = 30.0
CUT_S = 3
BEATING = ("--heartbeat-ms", "1000", "--heartbeat-timeout-ms", "900")  # generous: a thread of a busy machine answers
SILENT = ("--heartbeat-ms", "off")


class Watched:
    """An idle client that answers pings, and when and how its connection ended, if it did."""

    def __init__(self, server, port):
        start = server.mark()
        self.server = server
        self.client = wsraw.connect(port)
        self.since = time.monotonic()
        self.opened = server.wait_event("open", start=start)
        self.pings = 0
        self.ended = None  # (seconds since it opened, how)

    def watch(self, until, looked_at):
        """Until that time, and on until somebody wants to look."""
        try:
            while time.monotonic() < until or not looked_at.is_set():
                with contextlib.suppress(TimeoutError):
                    frame = self.client.recv_frame(0.2)
                    assert frame.opcode == PING, frame
                    self.pings += 1
                    self.client.send_pong(frame.payload)
        except ConnectionEnded as end:
            self.ended = (time.monotonic() - self.since, end.how)


class HalfMinute:
    """Connections by name: gateway and whether its server beats. Threads touch them until wait() returns."""

    def __init__(self, folder, combined_file, certificate_files):
        self._resources = contextlib.ExitStack()
        try:
            self._start(folder, combined_file, certificate_files)
        except BaseException:
            self._resources.close()
            raise

    def _start(self, folder, combined_file, certificate_files):
        enter = self._resources.enter_context
        self.connections = {}
        for beating, flags in (("beating", BEATING), ("silent", SILENT)):
            server = enter(Server(*flags, "--commands"))
            [port] = gateways.free_ports(1)
            short = {"read_timeout 60s": f"read_timeout {CUT_S}s", "listen 80;": f"listen 127.0.0.1:{port};"}
            nginx = enter(gateways.nginx(folder / f"nginx-{beating}", "websocket.conf", {**gateways.upstreams([server.port]), **short}, {"web": port}))
            self.connections["nginx", beating] = Watched(server, nginx.port)
            ports = dict(zip((":80", ":443", ":8443"), gateways.free_ports(3)))
            tunnel = {"timeout tunnel 60s": f"timeout tunnel {CUT_S}s"}
            replacements = haproxy_replacements(ports, [server.port] * 3, combined_file, certificate_files, folder / "no.sock", server.port, server.port)
            haproxy = enter(gateways.haproxy(folder / f"haproxy-{beating}", {**replacements, **tunnel}, ports))
            self.connections["haproxy", beating] = Watched(server, haproxy.port)
        until = time.monotonic() + IDLE_S
        self._looked_at = threading.Event()
        self._threads = [threading.Thread(target=watched.watch, args=(until, self._looked_at), daemon=True) for watched in self.connections.values()]
        for thread in self._threads:
            thread.start()

    def wait(self):
        self._looked_at.set()
        for thread in self._threads:
            thread.join()

    def close(self):
        self.wait()
        for watched in self.connections.values():
            watched.client.close()
        self._resources.close()


def haproxy_replacements(ports, instances, combined_file, certificate_files, unix_path, tls_port, passthrough_port):
    """All of haproxy.cfg that must not stay as it is."""
    return {"bind :8443": f"bind 127.0.0.1:{ports[':8443']}", "bind :443": f"bind 127.0.0.1:{ports[':443']}",
            "bind :80": f"bind 127.0.0.1:{ports[':80']}", "127.0.0.1:9443": f"127.0.0.1:{tls_port}", "127.0.0.1:9444": f"127.0.0.1:{passthrough_port}",
            **gateways.upstreams(instances), "maxconn 20000": "maxconn 500", "/etc/haproxy/app.example.pem": combined_file,
            "/etc/haproxy/wsbeat-ca.pem": certificate_files["wsbeat.internal"][0], "/run/wsbeat/wsbeat.sock": unix_path}
