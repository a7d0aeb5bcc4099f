"""wsbeat-server for real clients: plain and TLS, with and without compression."""

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import certificates
import pytest
from server import Server

from settings import KINDS, LARGE_BYTES

HERE = Path(__file__).parent
CASE_TIMEOUT_S = 60
SUBPROTOCOLS = "v2.0,v1.5"


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(CASE_TIMEOUT_S))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return certificates.make(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def node():
    """Path of node, with the packages of package-lock.json in place."""
    program = shutil.which("node")
    assert program, "node is needed"
    if not (HERE / "node_modules" / "ws" / "package.json").exists():
        subprocess.run(["npm", "ci"], cwd=HERE, check=True, capture_output=True, timeout=300)
    return program


@pytest.fixture(params=KINDS)
def kind(request, certificate):
    """One of the four ways to be served: flags for the server, and what a client must know."""
    tls, deflate = "tls" in request.param, "deflate" in request.param
    flags = ["--commands", "--subprotocols", SUBPROTOCOLS]
    if tls:
        flags += ["--tls-cert", certificate[0], "--tls-key", certificate[1]]
    if deflate:
        flags += ["--deflate"]
    return SimpleNamespace(flags=flags, tls=tls, deflate=deflate, scheme="wss" if tls else "ws",
                           authority=str(certificate[0]) if tls else None)


@pytest.fixture
def target(kind, start_server):
    """A server of this kind: `target.server`, `target.url` and the kind's own fields."""
    return serve(kind, start_server)


@pytest.fixture
def guarded(kind, start_server):
    """The same behind a token."""
    return serve(kind, start_server, "--token", "secret")


@pytest.fixture
def roomy(kind, start_server):
    """The same with room for large messages."""
    return serve(kind, start_server, "--max-message-bytes", LARGE_BYTES, "--max-queue-bytes", 2 * LARGE_BYTES)


@pytest.fixture
def beating(kind, start_server):
    """The same with a quick heartbeat that only pongs satisfy."""
    return serve(kind, start_server, "--heartbeat-ms", "300", "--heartbeat-timeout-ms", "250", "--liveness", "pong")


def serve(kind, start_server, *further):
    server = start_server(*kind.flags, *further)
    return SimpleNamespace(server=server, url=f"{kind.scheme}://localhost:{server.port}/chat", **vars(kind))
