"""The unit files: systemd finds nothing wrong with them, and what they start serves the socket that it was passed, behind nginx."""

import re
import shlex
import shutil
import subprocess

import pytest
import wsraw
from gateways import EXAMPLES
from server import binary

UNITS = EXAMPLES / "systemd"
installed = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


def setting(name, unit):
    """The one value of a setting."""
    [value] = re.findall(rf"^{name}=(.*)$", (UNITS / unit).read_text(), re.M)
    return value


def flags_of(unit, **specifiers):
    """The flags that a service gives to wsbeat-server."""
    program, *flags = shlex.split(setting("ExecStart", unit))
    assert program == "/usr/bin/wsbeat-server"
    return [specifiers.get(flag, flag) for flag in flags]


@installed
def test_systemd_understands_them(tmp_path):
    """With the program under test in place of the installed one, whose manual page is not there either."""
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/usr/bin/wsbeat-server", binary())
        (tmp_path / unit.name).write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.M))
    names = ["wsbeat.socket", "wsbeat.service", "wsbeat@9001.service"]
    (tmp_path / names[2]).write_text((tmp_path / "wsbeat@.service").read_text().replace("%i", "9001"))
    for name in names:
        done = subprocess.run(["systemd-analyze", "verify", tmp_path / name], capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), name


def test_there_is_time_to_stop():
    for unit in ("wsbeat.service", "wsbeat@.service"):
        flags = flags_of(unit)
        deadline_ms = int(flags[flags.index("--stop-deadline-ms") + 1])
        assert deadline_ms < int(setting("TimeoutStopSec", unit)) * 1000


@installed
def test_the_service_behind_nginx(start_server, start_nginx, tmp_path):
    """systemd's own launcher passes the socket and starts the service with the first connection, as systemd does."""
    path = tmp_path / "wsbeat.sock"
    server = start_server(*flags_of("wsbeat.service"), "--stop-spread-ms", "0", prefix=["systemd-socket-activate", "-l", path], wait=False)
    server.wait_stderr("Listening on")
    gateway = start_nginx("unix-socket.conf", {setting("ListenStream", "wsbeat.socket"): path})
    with wsraw.connect(gateway.port, source="127.0.0.12") as client:
        assert server.wait_event("listening")["unix"] == str(path)
        assert server.wait_event("open")["peer"] == "127.0.0.12"
        assert client.command("hello") == "hello"
        client.finish()
    assert server.stop() == 0


def test_an_instance(start_server):
    server = start_server(*flags_of("wsbeat@.service", **{"%i": "0"}))
    assert server.http("/healthz").body == b"ok\n"
