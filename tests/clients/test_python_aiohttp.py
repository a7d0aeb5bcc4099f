"""Python's aiohttp against wsbeat-server, its HTTP client too."""

import asyncio
import os
import signal
import ssl

import aiohttp
import pytest

from closing import GONE, PEER_CLOSE, TOO_BIG, expect_close, expect_heartbeat
from settings import CLIENT_LIMIT_BYTES, LARGE_BYTES, two_kinds


def in_session(target, work):
    """Runs work(session) with a session that trusts the server's certificate."""
    async def run():
        context = ssl.create_default_context(cafile=target.authority) if target.tls else False
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            await asyncio.wait_for(work(session), 30)

    asyncio.run(run())


def connect(session, target, **options):
    options.setdefault("max_msg_size", CLIENT_LIMIT_BYTES)
    return session.ws_connect(target.url, compress=15 if target.deflate else 0, **options)


def test_echo(target):
    async def work(session):
        async with connect(session, target) as ws:
            assert bool(ws.compress) == target.deflate
            for text in ("hello", "", "grüße κόσμε \U0001f600", "x" * 200, "compress me " * 1000, "x" * (1 << 20)):
                await ws.send_str(text)
                assert await ws.receive_str() == text
            for data in (b"\x00\xff\xfe", b"", b"y" * 300, os.urandom(1 << 20)):
                await ws.send_bytes(data)
                assert await ws.receive_bytes() == data

    in_session(target, work)
    expect_close(target.server, code=1000, reason="", code_sent=1000, **PEER_CLOSE)


def test_large_messages(roomy):
    async def work(session):
        async with connect(session, roomy) as ws:
            data = os.urandom(LARGE_BYTES)
            await ws.send_bytes(data)
            assert await ws.receive_bytes() == data
            text = "0123456789 grüße\n" * (LARGE_BYTES // 20)
            await ws.send_str(text)
            assert await ws.receive_str() == text

    in_session(roomy, work)
    expect_close(roomy.server, code=1000, reason="", code_sent=1000, **PEER_CLOSE)


@two_kinds
def test_subprotocol(target):
    async def work(session):
        async with connect(session, target, protocols=["v1.5", "other"]) as ws:
            assert ws.protocol == "v1.5"

    in_session(target, work)
    assert target.server.wait_event("open")["subprotocol"] == "v1.5"


def test_their_close(target):
    async def work(session):
        async with connect(session, target) as ws:
            await ws.close(code=4321, message="grüße".encode())
            assert ws.close_code == 4321

    in_session(target, work)
    expect_close(target.server, code=4321, reason="grüße", code_sent=4321, **PEER_CLOSE)


def test_our_close(target):
    async def work(session):
        async with connect(session, target) as ws:
            await ws.send_str("/close 4002 enough of this")
            message = await ws.receive()
            assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 4002, "enough of this")

    in_session(target, work)
    expect_close(target.server, code_sent=4002, clean=True, initiator="local", cause="local_close")


def test_pings_both_ways(target):
    async def work(session):
        async with connect(session, target, autoping=False) as ws:
            await ws.ping(b"payload")
            message = await ws.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"payload")
            await ws.send_str("/ping")
            message = await ws.receive()
            assert message.type == aiohttp.WSMsgType.PING
            await ws.pong(message.data)
            await asyncio.to_thread(target.server.wait_event, "pong")

    in_session(target, work)
    assert target.server.wait_event("pong")["rtt_us"] > 0


@two_kinds
def test_heartbeat(beating):
    """aiohttp answers pings only while it reads."""
    async def work(session):
        async with connect(session, beating) as ws:
            reading = asyncio.create_task(ws.receive())
            await asyncio.to_thread(expect_heartbeat, beating.server)
            reading.cancel()

    in_session(beating, work)


@two_kinds
def test_gone_without_a_close(target):
    async def work(session):
        async with connect(session, target) as ws:
            ws._response.connection.transport.abort()  # nothing public ends it so rudely
            await asyncio.to_thread(expect_close, target.server, **GONE)

    in_session(target, work)


@two_kinds
def test_message_too_big_for_the_server(target):
    async def work(session):
        async with connect(session, target) as ws:
            await ws.send_str("x" * ((1 << 20) + 1))
            message = await ws.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1009)

    in_session(target, work)
    expect_close(target.server, **TOO_BIG)


@two_kinds
def test_message_too_big_for_the_client(target):
    async def work(session):
        async with connect(session, target, max_msg_size=1000) as ws:
            await ws.send_str("x" * 1001)
            assert (await ws.receive()).type == aiohttp.WSMsgType.ERROR

    in_session(target, work)
    expect_close(target.server, code=1009, code_sent=1009, **PEER_CLOSE)


@pytest.mark.parametrize("credentials",
                         [{"headers": {"Authorization": "Bearer secret"}}, {"auth": aiohttp.BasicAuth("me", "secret")},
                          {"headers": {"Cookie": "token=secret"}}, {"params": {"token": "secret"}}],
                         ids=["bearer", "basic", "cookie", "query"])
@two_kinds
def test_token(guarded, credentials):
    async def work(session):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connect(session, guarded):
                pass
        assert refused.value.status == 401
        async with connect(session, guarded, **credentials) as ws:
            await ws.send_str("in")
            assert await ws.receive_str() == "in"

    in_session(guarded, work)
    assert guarded.server.wait_event("refused") == {"event": "refused", "status": 401, "cause": "unauthorized"}


def test_stop(target):
    async def work(session):
        async with connect(session, target) as ws:
            await ws.send_str("up")
            assert await ws.receive_str() == "up"
            target.server.send_signal(signal.SIGTERM)
            message = await ws.receive()
            assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 1001, "server is closing")

    in_session(target, work)
    expect_close(target.server, code_sent=1001, clean=True, initiator="local", cause="server_stop")
    assert target.server.wait() == 0


@two_kinds
def test_plain_http(target):
    async def work(session):
        base = target.url.replace("ws", "http", 1).replace("/chat", "")
        async with session.get(base + "/healthz") as response:
            assert (response.status, await response.text()) == (200, "ok\n")
        async with session.get(base + "/") as response:
            assert response.status == 200 and "<html" in await response.text()
        async with session.get(base + "/metrics") as response:
            assert response.status == 200 and "wsbeat" in await response.text()

    in_session(target, work)
