"""The command line: wrong flags, help, and what could not start."""

import json
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest
import wsraw
from server import binary, run

MAN_PAGE = Path(__file__).parents[2] / "docs/man/wsbeat-server.1"

WRONG = [
    (["--nope"], "--nope"),
    (["--nope=1"], "--nope"),
    (["-p", "1"], "-p"),
    (["something"], "something"),
    ([""], "''"),
    (["--port"], "--port"),
    (["--token", "--commands"], "--token"),
    (["--port", "65536"], "--port"),
    (["--port", "-1"], "--port"),
    (["--port", "+1"], "--port"),
    (["--port", " 1"], "--port"),
    (["--port", "1 "], "--port"),
    (["--port", "0x10"], "--port"),
    (["--port", ""], "--port"),
    (["--port", "99999999999999999999999"], "--port"),
    (["--host", ""], "--host"),
    (["--unix", ""], "--unix"),
    (["--unix", "/tmp/" + 103 * "x"], "--unix"),
    (["--workers", "0"], "--workers"),
    (["--workers", "65"], "--workers"),
    (["--workers", "two"], "--workers"),
    (["--mode", "loud"], "--mode"),
    (["--mode", "Echo"], "--mode"),
    (["--liveness", "maybe"], "--liveness"),
    (["--slow-consumer", "drop"], "--slow-consumer"),
    (["--heartbeat-ms", "49"], "--heartbeat-ms"),
    (["--heartbeat-ms", "1000", "--heartbeat-timeout-ms", "1000"], "--heartbeat-timeout-ms"),
    (["--heartbeat-timeout-ms", "25000"], "--heartbeat-timeout-ms"),
    (["--heartbeat-timeout-ms", "19"], "--heartbeat-timeout-ms"),
    (["--heartbeat-timeout-ms", "off"], "--heartbeat-timeout-ms"),
    (["--subprotocols", ""], "--subprotocols"),
    (["--require-subprotocol=yes"], "--require-subprotocol"),
    (["--origin", ""], "--origin"),
    (["--token", ""], "--token"),
    (["--dashboard-token", ""], "--dashboard-token"),
    (["--trusted-proxy", ""], "--trusted-proxy"),
    (["--max-message-bytes", "0"], "--max-message-bytes"),
    (["--max-message-bytes", "1e6"], "--max-message-bytes"),
    (["--max-queue-bytes", "1023"], "--max-queue-bytes"),
    (["--max-connections", "0"], "--max-connections"),
    (["--max-connections-per-address", "16000001"], "--max-connections-per-address"),
    (["--handshake-timeout-ms", "49"], "--handshake-timeout-ms"),
    (["--close-timeout-ms", "600001"], "--close-timeout-ms"),
    (["--auth-timeout-ms", "1"], "--auth-timeout-ms"),
    (["--idle-timeout-ms", "1"], "--idle-timeout-ms"),
    (["--app-beat-ms", "49"], "--app-beat-ms"),
    (["--stop-deadline-ms", "0"], "--stop-deadline-ms"),
    (["--stop-deadline-ms", "100", "--stop-spread-ms", "100"], "--stop-spread-ms"),
    (["--stop-spread-ms", "1s"], "--stop-spread-ms"),
    (["--tls-cert", ""], "--tls-cert"),
    (["--tls-cert", "cert.pem"], "--tls-cert"),
    (["--tls-key", "key.pem"], "--tls-key"),
    (["--tls-client-ca", "ca.pem"], "--tls-client-ca"),
    (["--require-subprotocol"], "--require-subprotocol"),
    (["--proxy-protocol", "on"], "--proxy-protocol"),
    (["--proxy-protocol", "required"], "--proxy-protocol"),
    (["--deflate=1"], "--deflate"),
    (["--events=yes"], "--events"),
    (["--commands="], "--commands"),
    (["--quiet=1"], "--quiet"),
    (["--topics=1"], "--topics"),
    (["--topics", "--may-subscribe", "a..b"], "--may-subscribe"),
    (["--may-subscribe", "a"], "--may-subscribe"),
    (["--topics", "--may-publish", "a*"], "--may-publish"),
    (["--topics", "--max-topics", "0"], "--max-topics"),
    (["--topics", "--subprotocols", "wsbeat.topics.v1"], "--subprotocols"),
    (["--nats", ""], "--nats"),
    (["--nats-prefix", "a"], "--nats-prefix"),
    (["--nats", "nats://127.0.0.1:1", "--nats-prefix", "a..b"], "--nats-prefix"),
    (["--nats-credentials", "file"], "--nats-credentials"),
    (["--nats-ca", "file"], "--nats-ca"),
    (["--nats-cert", "file"], "--nats-cert"),
    (["--nats-key", "file"], "--nats-key"),
    (["--nats", "nats://127.0.0.1:1", "--nats-buffer-bytes", "1"], "--nats-buffer-bytes"),
    (["--nats", "nats://127.0.0.1:1", "--durable-max-bytes", "4096"], "--durable-max-bytes"),
    (["--durable-replicas", "3"], "--durable-replicas"),
    (["--nats", "nats://127.0.0.1:1", "--durable", "a", "--durable-replicas", "6"], "--durable-replicas"),
    (["--nats", "nats://127.0.0.1:1", "--durable", "a", "--durable-max-age-s", "1d"], "--durable-max-age-s"),
    (["--nats", "nats://127.0.0.1:1", "--durable", "a", "--durable-max-bytes", "1"], "--durable-max-bytes"),
    (["--durable", "a"], "--durable"),
    (["--nats", "nats://127.0.0.1:1", "--durable", "a..b"], "--durable"),
    (["--nats", "nats://127.0.0.1:1", "--durable", "a,b"], "--durable"),
    (["--nats", "nats://127.0.0.1:1", "--durable", "a", "--durable-max-bytes", "1023"], "--durable-max-bytes"),
    (["--nats", "nats://127.0.0.1:1", "--durable", "a", "--durable-max-age-s", "soon"], "--durable-max-age-s"),
    (["--nats", "nats://127.0.0.1:1", "--durable", "a", "--durable-replicas", "6"], "--durable-replicas"),
    (["--nats", "nats://127.0.0.1:1", "--max-replay", "5"], "--max-replay"),
    (["--presence-ttl-ms", "5000"], "--presence-ttl-ms"),
    (["--nats", "nats://127.0.0.1:1", "--presence-ttl-ms", "999"], "--presence-ttl-ms"),
    (["--help=me"], "--help"),
    (["--version=2"], "--version"),
    # Texts that only the library judges.
    (["--subprotocols", "not a token"], "--subprotocols"),
    (["--subprotocols", "a,b,a"], "--subprotocols"),
    (["--trusted-proxy", "10.0.0.0/99"], "--trusted-proxy"),
]


def flags_in_help():
    return set(re.findall(r"--[a-z][a-z-]+", run("--help").stdout))


@pytest.mark.parametrize("flags,named", WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_a_wrong_flag_gets_one_line_that_names_it(flags, named):
    result = run(*flags)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("wsbeat-server: ") and result.stderr.count("\n") == 1
    assert re.search(re.escape(named) + r"(?![a-z-])", result.stderr), "names the flag itself, not a longer one"


def test_a_wrong_use_of_every_flag_is_in_the_list():
    assert flags_in_help() <= {named for _, named in WRONG}


@pytest.mark.parametrize("separate", [True, False], ids=["--flag value", "--flag=value"])
def test_no_flag_takes_a_lone_flag_as_its_value(separate):
    """What takes a value says so, what does not reads on: in both cases the unknown flag is not swallowed."""
    for flag in flags_in_help() - {"--help", "--version"}:
        result = run(flag, "--nope") if separate else run(f"{flag}=", "--nope")
        assert result.returncode == 2 and re.search(flag + "(?![a-z-])|--nope", result.stderr), flag


def test_help_fits_on_a_screen():
    result = run("--help")
    assert result.returncode == 0 and result.stderr == ""
    lines = result.stdout.splitlines()
    assert len(lines) < 24, "a screen, with a line for the prompt"
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_what_cannot_be_printed_is_an_error(flag):
    with open("/dev/full", "wb") as full:
        result = subprocess.run([binary(), flag], stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    assert (result.returncode, result.stderr) == (1, "wsbeat-server: cannot write to stdout\n")


def test_help_and_man_page_name_the_same_flags():
    in_man = set(re.findall(r"--[a-z][a-z-]+", MAN_PAGE.read_text(encoding="utf-8").replace("\\-", "-")))
    assert flags_in_help() == in_man and len(in_man) > 25


def test_every_flag_of_the_help_is_known():
    for flag in flags_in_help():
        assert f"unknown flag {flag}" not in run(flag, "--nope").stderr


def test_version():
    result = run("--version")
    assert result.returncode == 0
    assert re.fullmatch(r"wsbeat-server \d+\.\d+\.\d+\n", result.stdout)


def test_help_wins_over_flags_that_do_not_fit_together():
    assert run("--tls-key", "x", "--help").returncode == 0


def test_a_port_in_use_is_one_clear_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run("--port", port)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1 and str(port) in result.stderr
    assert result.stdout == ""


def test_an_address_that_is_not_ours_is_one_clear_line():
    result = run("--host", "192.0.2.1", "--port", "0")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1 and "192.0.2.1" in result.stderr


def test_a_certificate_that_is_not_there_is_one_clear_line(tmp_path):
    missing = tmp_path / "none.pem"
    result = run("--port", "0", "--tls-cert", missing, "--tls-key", missing)
    assert result.returncode == 1
    assert result.stderr == f"wsbeat-server: cannot start: --tls-cert '{missing}': No such file or directory\n"


def test_a_value_may_follow_an_equals_sign_and_the_last_counts(start_server):
    server = start_server("--max-message-bytes=10", "--max-message-bytes=20")
    with server.connect() as client:
        client.send_text("x" * 20)
        assert client.recv_text() == "x" * 20
        client.send_text("x" * 21)
        assert client.recv_close()[0] == 1009


def test_listens_on_a_unix_socket(start_server, tmp_path):
    path = tmp_path / "ws.sock"
    server = start_server("--unix", path)
    assert server.events[0] == {"event": "listening", "unix": str(path)}
    client, opened = server.connect_open("/unix")
    assert opened["peer"] == "unix" and opened["path"] == "/unix"
    client.send_text("hello")
    assert client.recv_text() == "hello"
    client.finish()
    assert server.stop() == 0
    assert not path.exists()


def test_listens_on_ipv6(start_server):
    server = start_server("--host", "::1", host="::1")
    _, opened = server.connect_open()
    assert opened["peer"] == "::1"


def test_says_where_it_listens_unless_quiet(start_server):
    server = start_server()
    assert f"http://127.0.0.1:{server.port}/" in server.wait_stderr("listening on")
    quiet = start_server("--quiet")
    quiet.stop()
    assert quiet.stderr == ""


def test_the_heartbeat_can_be_off(start_server):
    for value in ("0", "off"):
        server = start_server("--commands", "--heartbeat-ms", value)
        assert '"heartbeat":false' in server.connect().command("/info")


def test_subprotocols_by_the_servers_preference(start_server):
    server = start_server("--subprotocols", "v2.0,v1.5", "--require-subprotocol")
    client, opened = server.connect_open(subprotocols=["v1.5", "v2.0"])
    assert client.subprotocol == "v2.0" and opened["subprotocol"] == "v2.0"
    with pytest.raises(wsraw.HandshakeRefused) as refused:
        server.connect(subprotocols=["v3"])
    assert refused.value.response.status == 400
    assert server.wait_event("refused")["cause"] == "subprotocol"


def test_origins_add_up(start_server):
    server = start_server("--origin", "https://one.example", "--origin", "https://*.two.example")
    for origin in ("https://one.example", "https://a.two.example", f"http://127.0.0.1:{server.port}", None):
        server.connect(origin=origin).close()
    with pytest.raises(wsraw.HandshakeRefused) as refused:
        server.connect(origin="https://three.example")
    assert refused.value.response.status == 403
    server.wait_event("refused", status=403, cause="origin")


def test_connections_are_limited(start_server):
    server = start_server("--max-connections", "2")
    with server.connect(), server.connect():
        with pytest.raises(wsraw.HandshakeRefused) as refused:
            server.connect()
        assert refused.value.response.status == 503
        server.wait_event("refused", status=503, cause="connections")


def test_connections_of_one_address_are_limited(start_server):
    server = start_server("--max-connections-per-address", "1")
    with server.connect(source="127.0.0.2"), server.connect(source="127.0.0.3"):
        with pytest.raises(wsraw.HandshakeRefused) as refused:
            server.connect(source="127.0.0.2")
        assert refused.value.response.status == 429
        server.wait_event("refused", status=429, cause="address")


def test_a_trusted_proxy_is_believed(start_server):
    server = start_server("--trusted-proxy", "127.0.0.0/8")
    _, opened = server.connect_open(headers=[("X-Forwarded-For", "203.0.113.7")])
    assert opened["peer"] == "203.0.113.7"
    _, own = server.connect_open()
    assert own["peer"] == "127.0.0.1"
    _, opened = start_server().connect_open(headers=[("X-Forwarded-For", "203.0.113.7")])
    assert opened["peer"] == "127.0.0.1", "without the flag nobody is believed"


def _closed(server, conn):
    """Cause, code sent and initiator of its close event."""
    event = server.wait_event("close", conn=conn)
    return event["cause"], event["code_sent"], event["initiator"]


def test_who_does_not_answer_pings_is_ended(start_server):
    server = start_server("--heartbeat-ms", "200", "--heartbeat-timeout-ms", "100")
    client, opened = server.connect_open()
    assert client.recv_frame().opcode == wsraw.PING
    assert client.recv_close() == (1011, "heartbeat timeout")
    assert _closed(server, opened["conn"]) == ("heartbeat_timeout", 1011, "local")


def test_what_proves_life(start_server):
    """Text right after each ping is enough for `any`, and not for `pong`."""
    for liveness, ended in (("any", False), ("pong", True)):
        server = start_server("--mode", "sink", "--heartbeat-ms", "100", "--heartbeat-timeout-ms", "80", "--liveness", liveness)
        client, opened = server.connect_open()
        for _ in range(4):
            frame = client.recv_frame()
            if frame.opcode != wsraw.PING:
                break
            client.send_text("alive")
        assert (frame.opcode == wsraw.CLOSE) == ended, liveness
        if ended:
            assert _closed(server, opened["conn"])[0] == "heartbeat_timeout"


def test_a_request_must_come_in_time(start_server):
    server = start_server("--handshake-timeout-ms", "100")
    with server.socket() as stream:
        stream.send_raw(b"GET / HTTP/1.1\r\n")
        assert stream.recv_response().status == 408
    server.wait_event("refused", status=408, cause="timeout")


def test_a_close_must_be_answered_in_time(start_server):
    server = start_server("--commands", "--close-timeout-ms", "100")
    client, opened = server.connect_open()
    client.send_text("/close 1000")
    assert client.recv_close() == (1000, "")
    begun = time.monotonic()
    assert _closed(server, opened["conn"]) == ("close_timeout", 1000, "local")
    assert time.monotonic() - begun < 3, "not the default of 5 s"


def test_an_idle_connection_is_closed_on_request(start_server):
    server = start_server("--idle-timeout-ms", "100")
    client, opened = server.connect_open()
    assert client.recv_close()[0] == 1001
    client.send_close(1001)
    assert _closed(server, opened["conn"]) == ("idle_timeout", 1001, "local")


def test_as_many_threads_as_workers(start_server):
    one, four = start_server("--commands"), start_server("--commands", "--workers", "4")
    assert four.threads() - one.threads() == 3
    workers = set()
    for _ in range(64):  # the kernel spreads connections by their address
        with four.connect() as client:
            workers.add(json.loads(client.command("/info"))["worker"])
    assert workers <= {0, 1, 2, 3} and len(workers) > 1
