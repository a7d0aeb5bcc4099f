"""The asyncio face: sending, receiving, pings, and what a connection tells."""

import asyncio

import pytest
import websockets
from conftest import connect, echo, in_thread, run, until

import wsbeat


def served(handler, use, **settings):
    """Runs use(server) while the handler serves."""

    async def main():
        async with wsbeat.serve(handler, "127.0.0.1", 0, **settings) as server:
            return await use(server)

    return run(main())


@pytest.mark.parametrize("message", ["hello", "", "h\u00e9\U0001f600", b"", b"\x00\xff", "x" * 70000, b"y" * 300000])
def test_echo_of(message):
    async def use(server):
        async with websockets.connect(f"ws://127.0.0.1:{server.port}/") as client:
            await client.send(message)
            assert await client.recv() == message

    served(echo, use)


def test_every_kind_of_message_can_be_sent():
    async def pieces():
        yield "a"
        await asyncio.sleep(0)
        yield "b"

    async def handler(ws):
        await ws.send("text")
        await ws.send(b"bytes")
        await ws.send(bytearray(b"array"))
        await ws.send(memoryview(b"view")[1:])
        await ws.send(pieces())
        await ws.send(["x", "y"])
        await ws.send([b"x", bytearray(b"y")])
        for wrong in (1, None, {"a": 1}, ["a", b"b"]):
            with pytest.raises(TypeError):
                await ws.send(wrong)
        with pytest.raises(UnicodeEncodeError):
            await ws.send("\ud800")
        with pytest.raises(wsbeat.TooBigError):
            await ws.send(bytes(2**20 + 1))
        await ws.send("end")

    async def use(server):
        async with websockets.connect(f"ws://127.0.0.1:{server.port}/") as client:
            got = [message async for message in client]
        assert got == ["text", b"bytes", b"array", b"iew", "ab", "xy", b"xy", "end"]

    served(handler, use)


def test_a_mutable_buffer_is_sent_as_it_was():
    async def handler(ws):
        data = bytearray(b"before")
        await ws.send(data)
        data[:] = b"after!"

    async def use(server):
        async with websockets.connect(f"ws://127.0.0.1:{server.port}/") as client:
            assert await client.recv() == b"before"

    served(handler, use)


def test_recv_and_many_messages_in_order():
    async def handler(ws):
        assert await ws.recv() == "first"
        for number in range(2000):
            assert await ws.recv() == str(number)
        for number in range(2000):
            await ws.send(str(number))
        await ws.close()

    async def use(server):
        async with websockets.connect(f"ws://127.0.0.1:{server.port}/") as client:
            await client.send("first")
            for number in range(2000):
                await client.send(str(number))
            assert [message async for message in client] == [str(number) for number in range(2000)]

    served(handler, use)


def test_what_a_connection_tells():
    seen = []

    async def handler(ws):
        seen.append(ws)
        assert ws.state is wsbeat.State.OPEN and ws.open and not ws.closed
        assert (ws.path, ws.query, ws.subprotocol) == ("/chat", "room=1", "v1")
        assert ws.request.path == "/chat?room=1" and ws.request.method == "GET"
        assert ws.request.headers["X-Test"] == ws.request.headers["x-test"] == "yes" and "host" in ws.request.headers
        assert ws.request.headers.get("absent") is None and ws.request is ws.request
        assert ws.remote_address[0] == "127.0.0.1" and ws.remote_address[1] > 0
        assert ws.close_info is None and ws.close_code is None and ws.close_reason is None and ws.user is None
        info = ws.info()
        assert info.state == "open" and info.heartbeat_interval == 25.0 and info.rtt_last is None and info.peer_port == ws.remote_address[1]
        assert ws.latency == 0.0
        round_trip = await ws.ping()
        assert 0 < round_trip < 5 and ws.latency == pytest.approx(round_trip)
        await ws.recv()
        with pytest.raises(wsbeat.ConnectionClosedOK):
            await ws.recv()
        assert ws.state is wsbeat.State.CLOSED and "closed" in repr(ws)

    async def use(server):
        client = await connect(server, "/chat?room=1", subprotocols=["v2", "v1"], headers=[("X-Test", "yes")])
        with client:
            frame = await in_thread(client.recv_frame)
            client.send_pong(frame.payload)
            client.send_text("go on")
            assert server.connections == set(seen)
            assert (await in_thread(client.finish, 1000, "bye")) == (1000, "")
        await until(lambda: seen[0].close_info is not None)
        assert seen[0].close_info == wsbeat.CloseInfo(1000, "bye", 1000, True, "remote", "peer_close")
        assert (seen[0].close_code, seen[0].close_reason) == (1000, "bye")
        with pytest.raises(wsbeat.ConnectionClosed):
            seen[0].info()

    served(handler, use, subprotocols=["v1"])


def test_pings_of_ours():
    async def handler(ws):
        first, second = await asyncio.gather(ws.ping(b"one"), ws.ping("two"))
        assert first > 0 and second > 0
        waiting = asyncio.create_task(ws.ping(b"same"))
        await asyncio.sleep(0)
        with pytest.raises(ValueError):
            await ws.ping(b"same")
        with pytest.raises(ValueError):
            await ws.ping(bytes(126))
        await waiting
        await ws.send("done")

    async def use(server):
        async with websockets.connect(f"ws://127.0.0.1:{server.port}/") as client:
            assert await client.recv() == "done"

    served(handler, use)


def test_a_ping_that_is_never_answered_ends_with_the_connection():
    outcome = []

    async def handler(ws):
        try:
            await ws.ping()
        except wsbeat.ConnectionClosed as error:
            outcome.append(error)
        with pytest.raises(wsbeat.ConnectionClosed):
            await ws.ping()
        outcome.append("again")

    async def use(server):
        client = await connect(server)
        await in_thread(client.recv_frame)
        client.abort()
        await until(lambda: len(outcome) == 2)

    served(handler, use)
    assert isinstance(outcome[0], wsbeat.ConnectionClosedError) and outcome[0].info.cause == "network_error"


def test_broadcast():
    async def use(server):
        clients = [await connect(server) for _ in range(5)]
        await until(lambda: len(server.connections) == 5)
        everyone = server.connections
        assert wsbeat.broadcast(everyone, "to all") == 5
        assert wsbeat.broadcast(everyone, b"raw") == 5
        for client in clients:
            assert await in_thread(client.recv_message) == "to all"
            assert await in_thread(client.recv_message) == b"raw"
        await in_thread(clients[0].finish)
        await until(lambda: len(server.connections) == 4)
        assert wsbeat.broadcast(everyone, "rest") == 4
        assert wsbeat.broadcast([], "nobody") == 0
        with pytest.raises(TypeError):
            wsbeat.broadcast([1], "x")
        with pytest.raises(TypeError):
            wsbeat.broadcast(everyone, 1)
        for client in clients:
            client.close()

    served(echo, use)


def test_send_order_with_broadcast_and_close():
    async def handler(ws):
        await ws.send("1")
        wsbeat.broadcast([ws], "2")
        await ws.send("3")
        await ws.close(4000, "done")

    async def use(server):
        async with websockets.connect(f"ws://127.0.0.1:{server.port}/") as client:
            assert [message async for message in client_messages(client)] == ["1", "2", "3"]
            assert (client.close_code, client.close_reason) == (4000, "done")

    async def client_messages(client):
        try:
            while True:
                yield await client.recv()
        except websockets.ConnectionClosed:
            pass

    served(handler, use)


def test_compression_and_limits():
    async def use(server):
        async with websockets.connect(f"ws://127.0.0.1:{server.port}/") as client:
            assert "permessage-deflate" in client.response_headers["Sec-WebSocket-Extensions"]
            await client.send("z" * 900)
            assert await client.recv() == "z" * 900
            await client.send("z" * 1001)
            with pytest.raises(websockets.ConnectionClosedError):
                await client.recv()
            assert client.close_code == 1009

    served(echo, use, compression="deflate", max_size=1000)


def test_coroutine_functions_take_what_send_and_recv_give():
    async def handler(ws):
        await asyncio.create_task(ws.send("task"))
        await asyncio.wait_for(ws.send("wait_for"), 5)
        await asyncio.gather(ws.send("g1"), ws.send("g2"))
        assert await asyncio.create_task(ws.recv()) == "a"
        assert await asyncio.wait_for(ws.recv(), 5) == "b"
        assert await anext_of(ws) == "c"
        with pytest.raises(RuntimeError):
            coroutine = ws.recv()
            await coroutine
            await coroutine
        await ws.send("end")

    async def anext_of(ws):
        return await ws.__anext__()

    async def use(server):
        async with websockets.connect(f"ws://127.0.0.1:{server.port}/") as client:
            for text in "abcd":
                await client.send(text)
            assert [message async for message in client] == ["task", "wait_for", "g1", "g2", "end"]

    served(handler, use)
