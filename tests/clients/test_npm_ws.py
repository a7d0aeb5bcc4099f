"""npm's ws against wsbeat-server: ws_client.mjs does one case in each run, and is judged here."""

import json
import os
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from closing import GONE, PEER_CLOSE, TOO_BIG, expect_close, expect_heartbeat
from settings import CLIENT_LIMIT_BYTES, LARGE_BYTES, two_kinds

SCRIPT = Path(__file__).parent / "ws_client.mjs"
RUN_TIMEOUT_S = 30


@pytest.fixture
def start_client(node):
    """`start_client(case, target)` runs one case as a process with its output piped; ended after the test."""
    started = []

    def start(case, target):
        environment = {**os.environ, "DEFLATE": "1" if target.deflate else "0", "CA_FILE": target.authority or "",
                       "LARGE_BYTES": str(LARGE_BYTES), "LIMIT_BYTES": str(CLIENT_LIMIT_BYTES)}
        started.append(subprocess.Popen([node, str(SCRIPT), case, target.url], env=environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def finish(process):
    """The last line's object, once the process ended well."""
    out, err = process.communicate(timeout=RUN_TIMEOUT_S)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


@pytest.fixture
def client(start_client):
    return lambda case, target: finish(start_client(case, target))


def test_echo(client, target):
    seen = client("echo", target)
    assert seen == {"extensions": "permessage-deflate" if target.deflate else "", "same": [True] * 10, "code": 1000,
                    "reason": ""}
    expect_close(target.server, code=1000, reason="done", code_sent=1000, **PEER_CLOSE)


def test_large_messages(client, roomy):
    assert client("large", roomy) == {"same": [True, True], "code": 1000, "reason": ""}
    expect_close(roomy.server, code=1000, reason="", code_sent=1000, **PEER_CLOSE)


def test_compression_parameters(client, start_server):
    server = start_server("--deflate")
    target = SimpleNamespace(url=f"ws://localhost:{server.port}/", deflate=True, authority=None)
    seen = client("parameters", target)
    assert sorted(seen.pop("extensions").split("; ")) == [
        "client_max_window_bits=11", "client_no_context_takeover", "permessage-deflate", "server_max_window_bits=10",
        "server_no_context_takeover"]
    assert seen == {"same": [True] * 10, "code": 1000, "reason": ""}


def test_fragments(client, target):
    assert client("fragments", target) == {"text": "one two three", "code": 1000, "reason": ""}


@two_kinds
def test_subprotocol(client, target):
    assert client("subprotocol", target) == {"subprotocol": "v2.0", "code": 1000, "reason": ""}


def test_their_close(client, target):
    assert client("theirs", target) == {"code": 4321, "reason": ""}
    expect_close(target.server, code=4321, reason="grüße", code_sent=4321, **PEER_CLOSE)


def test_our_close(client, target):
    assert client("ours", target) == {"code": 4002, "reason": "enough of this"}
    expect_close(target.server, code=4002, code_sent=4002, clean=True, initiator="local", cause="local_close")


def test_pings_both_ways(client, target):
    assert client("pings", target) == {"pong": "payload", "same": True, "code": 1000, "reason": ""}
    assert target.server.wait_event("pong")["rtt_us"] > 0


@two_kinds
def test_heartbeat(start_client, beating):
    process = start_client("idle", beating)
    assert json.loads(process.stdout.readline()) == {"same": True}
    expect_heartbeat(beating.server)
    process.kill()
    process.wait(RUN_TIMEOUT_S)
    expect_close(beating.server, **GONE)


@two_kinds
def test_gone_without_a_close(client, target):
    assert client("terminate", target) == {"code": 1006, "reason": ""}
    expect_close(target.server, **GONE)


@two_kinds
def test_message_too_big_for_the_server(client, target):
    seen = client("too big for the server", target)
    assert seen["code"] == 1009
    expect_close(target.server, **TOO_BIG)


@two_kinds
def test_message_too_big_for_the_client(client, target):
    assert client("too big for the client", target) == {"error": "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH", "code": 1006, "reason": ""}
    expect_close(target.server, code=1009, code_sent=1009, **PEER_CLOSE)


@two_kinds
def test_token(client, guarded):
    seen = client("token", guarded)
    assert "Bearer" in seen.pop("challenge")
    assert seen == {"status": 401, "same": True, "code": 1000, "reason": ""}
    assert guarded.server.wait_event("refused") == {"event": "refused", "status": 401, "cause": "unauthorized"}


def test_stop(start_client, target):
    process = start_client("idle", target)
    assert json.loads(process.stdout.readline()) == {"same": True}
    target.server.send_signal(signal.SIGTERM)
    assert finish(process) == {"code": 1001, "reason": "server is closing"}
    expect_close(target.server, code=1001, code_sent=1001, clean=True, initiator="local", cause="server_stop")
    assert target.server.wait() == 0
