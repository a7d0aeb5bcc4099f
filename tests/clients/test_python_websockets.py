"""Python's websockets against wsbeat-server."""

import asyncio
import os
import signal
import ssl

import pytest
import websockets
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatusCode

from closing import PEER_CLOSE, expect_close

MESSAGES = ["hello", "", "grüße κόσμε \U0001f600", b"\x00\xff\xfe", b"", "x" * 200, "compress me " * 1000, "x" * (1 << 20),
            os.urandom(1 << 20)]


def connect(target, **options):
    context = ssl.create_default_context(cafile=target.authority) if target.tls else None
    options.setdefault("compression", "deflate" if target.deflate else None)
    return websockets.connect(target.url, ssl=context, max_size=1 << 21, **options)


def test_echo(target):
    async def run():
        async with connect(target) as ws:
            assert bool(ws.extensions) == target.deflate
            for message in MESSAGES:
                await ws.send(message)
                assert await ws.recv() == message

    asyncio.run(run())
    expect_close(target.server, code=1000, reason="", code_sent=1000, **PEER_CLOSE)


def test_many_messages_in_flight(target):
    async def run():
        async with connect(target) as ws:
            messages = [f"message {n} " * (n % 50) for n in range(1000)]

            async def send():
                for message in messages:
                    await ws.send(message)

            sender = asyncio.create_task(send())
            assert [await ws.recv() for _ in messages] == messages
            await sender

    asyncio.run(run())


def test_fragments(target):
    async def run():
        async with connect(target) as ws:
            await ws.send(["one ", "two ", "three " * 100])
            assert await ws.recv() == "one two " + "three " * 100

    asyncio.run(run())


def test_subprotocol(target):
    async def run():
        async with connect(target, subprotocols=["other", "v1.5", "v2.0"]) as ws:
            assert ws.subprotocol == "v2.0"

    asyncio.run(run())
    assert target.server.wait_event("open")["subprotocol"] == "v2.0"


def test_their_close(target):
    async def run():
        async with connect(target) as ws:
            await ws.close(4321, "grüße")

    asyncio.run(run())
    expect_close(target.server, code=4321, reason="grüße", code_sent=4321, **PEER_CLOSE)


def test_our_close(target):
    async def run():
        async with connect(target) as ws:
            await ws.send("/close 4002 enough of this")
            with pytest.raises(ConnectionClosedError) as closed:
                await ws.recv()
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4002, "enough of this")

    asyncio.run(run())
    expect_close(target.server, code=4002, code_sent=4002, clean=True, initiator="local", cause="local_close")


def test_pings_both_ways(target):
    async def run():
        async with connect(target) as ws:
            await asyncio.wait_for(await ws.ping(b"payload"), 10)
            await ws.send("/ping")
            await ws.send("behind it")
            assert await ws.recv() == "behind it"
            await asyncio.to_thread(target.server.wait_event, "pong")

    asyncio.run(run())
    assert target.server.wait_event("pong")["rtt_us"] > 0


def test_token(guarded):
    async def run():
        with pytest.raises(InvalidStatusCode) as refused:
            async with connect(guarded):
                pass
        assert refused.value.status_code == 401
        async with connect(guarded, extra_headers={"Authorization": "Bearer secret"}) as ws:
            await ws.send("in")
            assert await ws.recv() == "in"

    asyncio.run(run())
    assert guarded.server.wait_event("refused") == {"event": "refused", "status": 401, "cause": "unauthorized"}


def test_stop(target):
    async def run():
        async with connect(target) as ws:
            await ws.send("up")
            assert await ws.recv() == "up"
            target.server.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosedOK) as closed:
                await ws.recv()
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "server is closing")

    asyncio.run(run())
    expect_close(target.server, code=1001, code_sent=1001, clean=True, initiator="local", cause="server_stop")
    assert target.server.wait() == 0
