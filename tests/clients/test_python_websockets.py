"""Python's websockets against wsbeat-server."""

import asyncio
import os
import signal
import ssl

import pytest
import websockets
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatusCode
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from closing import GONE, PEER_CLOSE, TOO_BIG, expect_close, expect_heartbeat
from settings import CLIENT_LIMIT_BYTES, LARGE_BYTES, two_kinds

MESSAGES = ["hello", "", "grüße κόσμε \U0001f600", b"\x00\xff\xfe", b"", "x" * 200, "compress me " * 1000, "x" * (1 << 20),
            os.urandom(1 << 20)]


def connect(target, **options):
    context = ssl.create_default_context(cafile=target.authority) if target.tls else None
    options.setdefault("compression", "deflate" if target.deflate else None)
    options.setdefault("max_size", CLIENT_LIMIT_BYTES)
    return websockets.connect(target.url, ssl=context, **options)


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


def test_large_messages(roomy):
    async def run():
        async with connect(roomy) as ws:
            for message in (os.urandom(LARGE_BYTES), "0123456789 grüße\n" * (LARGE_BYTES // 20)):
                await ws.send(message)
                assert await ws.recv() == message

    asyncio.run(run())
    expect_close(roomy.server, code=1000, reason="", code_sent=1000, **PEER_CLOSE)


@pytest.mark.parametrize("agreement",
                         [{"server_no_context_takeover": True}, {"client_no_context_takeover": True}, {"server_max_window_bits": 9},
                          {"client_max_window_bits": 9},
                          {"server_no_context_takeover": True, "client_no_context_takeover": True, "server_max_window_bits": 10,
                           "client_max_window_bits": 11}], ids=lambda agreement: " ".join(agreement))
def test_compression_parameters(start_server, agreement):
    server = start_server("--deflate")

    async def run():
        factory = ClientPerMessageDeflateFactory(**agreement)
        url = f"ws://localhost:{server.port}/"
        async with websockets.connect(url, compression=None, extensions=[factory], max_size=CLIENT_LIMIT_BYTES) as ws:
            extension, = ws.extensions
            assert extension.remote_no_context_takeover == agreement.get("server_no_context_takeover", False)
            assert extension.local_no_context_takeover == agreement.get("client_no_context_takeover", False)
            assert extension.remote_max_window_bits == agreement.get("server_max_window_bits", 15)
            assert extension.local_max_window_bits == agreement.get("client_max_window_bits", 15)
            for message in MESSAGES * 2:
                await ws.send(message)
                assert await ws.recv() == message

    asyncio.run(run())


def test_fragments(target):
    async def run():
        async with connect(target) as ws:
            await ws.send(["one ", "two ", "three " * 100])
            assert await ws.recv() == "one two " + "three " * 100

    asyncio.run(run())


@two_kinds
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


@two_kinds
def test_heartbeat(beating):
    async def run():
        async with connect(beating):
            await asyncio.to_thread(expect_heartbeat, beating.server)

    asyncio.run(run())


@two_kinds
def test_gone_without_a_close(target):
    async def run():
        async with connect(target) as ws:
            ws.transport.abort()
            await ws.wait_closed()

    asyncio.run(run())
    expect_close(target.server, **GONE)


@two_kinds
def test_message_too_big_for_the_server(target):
    async def run():
        async with connect(target) as ws:
            await ws.send("x" * ((1 << 20) + 1))
            with pytest.raises(ConnectionClosedError) as closed:
                await ws.recv()
            assert closed.value.rcvd.code == 1009

    asyncio.run(run())
    expect_close(target.server, **TOO_BIG)


@two_kinds
def test_message_too_big_for_the_client(target):
    async def run():
        async with connect(target, max_size=1000) as ws:
            await ws.send("x" * 1001)
            with pytest.raises(ConnectionClosedError):
                await ws.recv()

    asyncio.run(run())
    expect_close(target.server, code=1009, code_sent=1009, **PEER_CLOSE)


@two_kinds
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
