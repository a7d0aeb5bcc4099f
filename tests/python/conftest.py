"""The suite of the Python module. It runs in an environment in which the module is installed: scripts/python-env.sh makes one."""

import asyncio
import contextlib
import logging

import pytest
import wsraw
from store import Store, build

import wsbeat

LIMIT_S = 30


def run(coroutine, limit=LIMIT_S):
    """asyncio.run with a time limit."""
    return asyncio.run(asyncio.wait_for(coroutine, limit))


async def echo(ws):
    async for message in ws:
        await ws.send(message)


async def in_thread(function, *arguments, **options):
    """A blocking call (the raw client's) beside the loop."""
    return await asyncio.get_running_loop().run_in_executor(None, lambda: function(*arguments, **options))


async def connect(server, *arguments, **options):
    """A raw client of an asyncio server."""
    return await in_thread(wsraw.connect, server.port, *arguments, **options)


async def until(condition, limit=LIMIT_S):
    """Waits until the condition holds, turn by turn."""
    deadline = asyncio.get_running_loop().time() + limit
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not come about in time"
        await asyncio.sleep(0.005)


@pytest.fixture
def log(caplog):
    """What reaches the logger "wsbeat", from DEBUG on."""
    caplog.set_level(logging.DEBUG, "wsbeat")
    return caplog


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """The library of a backplane that stores in memory."""
    return build(tmp_path_factory.mktemp("store"))


@pytest.fixture
def store(library, monkeypatch):
    """Servers of this test store there."""
    store = Store(library)
    store.patch(monkeypatch)
    return store


@pytest.fixture
def start():
    """Starts callback servers; all are stopped after the test."""
    with contextlib.ExitStack() as stack:

        def start_one(server):
            server.start()
            stack.callback(server.stop, deadline=0.5)
            return server

        yield start_one


def plain_server(**settings):
    """A callback server that echoes."""
    server = wsbeat.Server(port=0, **settings)

    @server.on_message
    def on_message(conn, message):
        conn.send(message)

    return server
