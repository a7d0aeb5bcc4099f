"""Runs the example configurations under real nginx and HAProxy: only ports, paths of files and, where a test asks for it, times are replaced."""

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples/gateway"
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 15.0
# What no replaced configuration may still contain: it would touch this machine.
LEFT_OVER = re.compile(r"listen (?:80|443)\b|bind :\d|127\.0\.0\.1:9\d{3}\b|/etc/|/run/")

NGINX_MAIN = """
{modules}
user root;
daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log stderr notice;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
{http}
{stream}
"""
NGINX_HTTP = """
http {{
    access_log off;
    client_body_temp_path {folder}/tmp;
    proxy_temp_path {folder}/tmp;
    fastcgi_temp_path {folder}/tmp;
    uwsgi_temp_path {folder}/tmp;
    scgi_temp_path {folder}/tmp;
    include site.conf;
}}
"""
STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"


def free_ports(count):
    """Ports that nobody has now, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def replaced(text, replacements):
    """`text` with every replacement made; each must fit somewhere, and nothing of this machine may be left."""
    for old, new in replacements.items():
        assert old in text, f"{old!r} does not stand in the configuration"
        text = text.replace(old, str(new))
    statements = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    assert not LEFT_OVER.search(statements), LEFT_OVER.search(statements)
    return text


class Gateway:
    """A proxy in the foreground, with what it says in `log`. `port` is where the tests go first, `ports` has all by name."""

    def __init__(self, command, folder, ports):
        self.ports = ports
        self.port = next(iter(ports.values()))
        self.log_file = folder / "log"
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
        try:
            for port in ports.values():
                self._wait_listening(port)
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def log(self):
        return self.log_file.read_text(errors="replace")

    def _wait_listening(self, port):
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1.0).close()
                return
            except ConnectionRefusedError:
                assert self.process.poll() is None, self.log
                assert time.monotonic() < deadline, f"nobody listens on {port}: {self.log}"
                time.sleep(0.01)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def nginx(folder, example, replacements, ports, stream=False):
    """nginx with one of the examples. `ports`: name -> port that it listens on."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tmp").mkdir()
    (folder / "snippets").mkdir()
    snippet = (EXAMPLES / "nginx/snippets/wsbeat.conf").read_text()
    own = {old: new for old, new in replacements.items() if old in snippet}
    (folder / "snippets/wsbeat.conf").write_text(replaced(snippet, own))
    site = (EXAMPLES / "nginx" / example).read_text()
    (folder / "site.conf").write_text(replaced(site, {old: new for old, new in replacements.items() if old not in own}))
    module = f"load_module {STREAM_MODULE};" if stream else ""
    http = "" if stream else NGINX_HTTP.format(folder=folder)
    (folder / "nginx.conf").write_text(NGINX_MAIN.format(modules=module, folder=folder, http=http, stream="stream { include site.conf; }" if stream else ""))
    return Gateway(["nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"], folder, ports)


def haproxy(folder, replacements, ports):
    """HAProxy with the example."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "haproxy.cfg").write_text(replaced((EXAMPLES / "haproxy/haproxy.cfg").read_text(), replacements))
    return Gateway(["haproxy", "-db", "-f", "haproxy.cfg"], folder, ports)


def upstreams(ports, first=9001):
    """Replacements of 127.0.0.1:9001, :9002, ... by these ports."""
    return {f"127.0.0.1:{first + index}": f"127.0.0.1:{port}" for index, port in enumerate(ports)}


def have_stream():
    return os.path.exists(STREAM_MODULE)
