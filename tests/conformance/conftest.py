"""One server for each module here (its flags: FLAGS of the module), connections to it, and the books of both at the end."""

from pathlib import Path

import pytest
from server import Server

from strict import Peer

CASE_TIMEOUT_S = 60


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(CASE_TIMEOUT_S))


@pytest.fixture(scope="module")
def server(request):
    """Shared by the module. At its end every open has had exactly one close, and the server stops as it should."""
    shared = Server(*getattr(request.module, "FLAGS", ("--commands",)))
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
