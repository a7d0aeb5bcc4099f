"""Puts tests/support on sys.path and gives every Python suite a server factory; the suites themselves live beside it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))

from server import Server  # noqa: E402


@pytest.fixture
def start_server():
    """`start_server("--mode", "sink")` starts a wsbeat-server; every one started in a test is ended after it."""
    started = []

    def start(*flags, **options):
        started.append(Server(*flags, **options))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def server(start_server):
    """A plain echo server with `--commands`."""
    return start_server("--commands")
