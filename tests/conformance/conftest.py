"""One server for each module here (its flags: FLAGS of the module), connections to it, and the books of both at the end.

A module with KINDS = ("plain", "tls") has its cases run over both. No heartbeat, unless a case asks for one: its pings come at times of their own.
"""

from pathlib import Path

import certificates
import pytest
from server import Server

from strict import Peer

CASE_TIMEOUT_S = 60
NO_HEARTBEAT = ("--heartbeat-ms", "off")


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(CASE_TIMEOUT_S))


def pytest_generate_tests(metafunc):
    kinds = getattr(metafunc.module, "KINDS", None)
    if kinds and "server" in metafunc.fixturenames:
        metafunc.parametrize("server", kinds, indirect=True, scope="module")


@pytest.fixture(scope="session")
def certificate_flags(tmp_path_factory):
    certificate, key = certificates.make(tmp_path_factory.mktemp("certificate"))
    return "--tls-cert", certificate, "--tls-key", key


@pytest.fixture(scope="module")
def server(request):
    """Shared by the module. At its end every open has had exactly one close, and the server stops as it should."""
    flags = getattr(request.module, "FLAGS", ("--commands",))
    if getattr(request, "param", "plain") == "tls":
        flags = (*flags, *request.getfixturevalue("certificate_flags"))
    shared = Server(*NO_HEARTBEAT, *flags)
    yield shared
    try:
        assert shared.running(), shared.stderr
        assert shared.stop() == 0, shared.stderr
        opened = [event["conn"] for event in shared.events if event["event"] == "open"]
        closed = [event["conn"] for event in shared.events if event["event"] == "close"]
        assert len(set(opened)) == len(opened)
        assert sorted(opened) == sorted(closed)
    finally:
        shared.kill()


@pytest.fixture
def start_server(start_server):
    """A server of its own for one case."""
    return lambda *flags: start_server(*NO_HEARTBEAT, *flags)


@pytest.fixture
def open_peer(server):
    """`open_peer(**options of wsraw.connect)` opens a connection; all are closed after the test."""
    peers = []

    def open_one(on=None, **options):
        peers.append(Peer(on or server, **options))
        return peers[-1]

    yield open_one
    for peer in peers:
        peer.client.close()


@pytest.fixture
def peer(open_peer):
    """One open connection."""
    return open_peer()
