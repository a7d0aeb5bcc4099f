"""The asyncio face: closing, cancelling, exceptions of handlers, and the life of servers."""

import asyncio

import pytest
import websockets
from conftest import connect, echo, in_thread, run, until

import wsbeat


def one_client(handler, use, **settings):
    """use(client) with a raw client of a server with this handler; gives the connection."""
    seen = []

    async def kept(ws):
        seen.append(ws)
        await handler(ws)

    async def main():
        async with wsbeat.serve(kept, "127.0.0.1", 0, **settings) as server:
            with await connect(server) as client:
                await until(lambda: seen)
                await use(client)
                await until(lambda: seen[0].close_info is not None)

    run(main())
    return seen[0]


async def expect_close(client, code, reason=""):
    assert await in_thread(client.recv_close) == (code, reason)
    client.send_close(code)


def test_a_handler_that_returns_closes_with_1000():
    async def handler(ws):
        pass

    ws = one_client(handler, lambda client: expect_close(client, 1000))
    assert ws.close_info == wsbeat.CloseInfo(1000, "", 1000, True, "local", "local_close")


def test_a_handler_that_raises_closes_with_1011(log):
    async def handler(ws):
        raise LookupError("lost")

    ws = one_client(handler, lambda client: expect_close(client, 1011, "internal error"))
    assert ws.close_info.code_sent == 1011
    failed = [record for record in log.records if record.exc_info]
    assert len(failed) == 1 and failed[0].name == "wsbeat" and "lost" in failed[0].exc_text


def test_a_handler_that_is_cancelled_closes_with_1001():
    async def handler(ws):
        asyncio.current_task().cancel()
        await ws.recv()

    one_client(handler, lambda client: expect_close(client, 1001))


def test_close_gives_code_and_reason_and_waits():
    async def handler(ws):
        await ws.close(4001, "enough")
        assert ws.close_info.code_sent == 4001 and ws.closed
        await ws.close()  # again: nothing
        for call in (lambda: ws.send("x"), ws.recv, ws.ping):
            with pytest.raises(wsbeat.ConnectionClosedError) as caught:
                await call()
            assert (caught.value.code, caught.value.sent) == (4001, (4001, "enough"))
            assert caught.value.rcvd.code == 4001

    one_client(handler, lambda client: expect_close(client, 4001, "enough"))


@pytest.mark.parametrize("code", [999, 1005, 1006, 1015, 2500, 5000])
def test_codes_that_may_not_be_sent(code):
    async def handler(ws):
        with pytest.raises(wsbeat.InvalidError):
            await ws.close(code)
        with pytest.raises(ValueError):
            await ws.close(1000, "r" * 124)

    one_client(handler, lambda client: expect_close(client, 1000))


@pytest.mark.parametrize("ending, ok", [((1000, "bye"), True), ((1001, ""), True), (None, True), ((4000, "own"), False), ("abort", False)])
def test_iteration_and_recv_tell_the_end(ending, ok):
    outcome = []

    async def handler(ws):
        try:
            async for _ in ws:
                pass
            outcome.append("quiet")
        except wsbeat.ConnectionClosedError:
            outcome.append("error")
        with pytest.raises(wsbeat.ConnectionClosedOK if ok else wsbeat.ConnectionClosedError) as caught:
            await ws.recv()
        outcome.append(caught.value)

    async def use(client):
        client.send_text("message")
        if ending == "abort":
            client.abort()
        else:
            client.send_close(*(ending or ()))
        await until(lambda: len(outcome) == 2)

    ws = one_client(handler, use)
    assert outcome[0] == ("quiet" if ok else "error")
    error = outcome[1]
    assert error.info == ws.close_info and isinstance(error, wsbeat.ClosedError) and isinstance(error, ConnectionError)
    if ending == "abort":
        assert error.rcvd is None and error.code == 1006 and "network_error" in str(error)
    else:
        assert error.rcvd == (ending or (1005, "")) and error.code == error.rcvd.code


def test_messages_before_the_close_are_not_lost():
    got = []

    async def handler(ws):
        await ws.wait_closed()
        async for message in ws:
            got.append(message)

    async def use(client):
        for number in range(10):
            client.send_text(str(number))
        client.send_close(1000)
        await until(lambda: len(got) == 10)

    one_client(handler, use)
    assert got == [str(number) for number in range(10)]


def test_abort():
    async def handler(ws):
        ws.abort()
        with pytest.raises(wsbeat.ConnectionClosed):
            await ws.send("x")

    async def use(client):
        assert (await in_thread(client.recv_all))[1] == "reset"

    ws = one_client(handler, use)
    assert ws.close_info.cause == "local_close" and ws.close_info.code == 1006


# --------------------------------------------------------------------------------------------------------------- cancellation

def test_a_cancelled_recv_loses_no_message():
    async def handler(ws):
        lost = 0
        expected = 0
        while expected < 300:
            task = asyncio.create_task(ws.recv())
            for _ in range(expected % 4):
                await asyncio.sleep(0)
            task.cancel()
            try:
                message = await task
            except asyncio.CancelledError:
                lost += 1
                try:
                    message = await asyncio.wait_for(ws.recv(), 0.001)
                except asyncio.TimeoutError:
                    continue
            assert message == str(expected)
            expected += 1
        await ws.send(f"done {lost > 0}")

    async def use(client):
        for number in range(300):
            client.send_text(str(number))
            if number % 50 == 0:
                await asyncio.sleep(0.01)
        assert await in_thread(client.recv_text) == "done True"
        await in_thread(client.finish)

    one_client(handler, use)


def test_one_recv_at_a_time():
    async def handler(ws):
        first = asyncio.create_task(ws.recv())
        await asyncio.sleep(0)
        with pytest.raises(wsbeat.ConcurrencyError):
            await ws.recv()
        first.cancel()
        await asyncio.wait([first])
        assert await ws.recv() == "x"
        await ws.send("fine")

    async def use(client):
        await asyncio.sleep(0.05)
        client.send_text("x")
        assert await in_thread(client.recv_text) == "fine"
        await in_thread(client.finish)

    one_client(handler, use)


def test_waits_can_be_cancelled():
    """wait_closed, ping, close and serve_forever: the connection is none the worse."""

    async def handler(ws):
        for wait in (ws.wait_closed(), ws.ping(b"never answered")):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(wait, 0.02)
        await ws.send("still here")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ws.close(4002), 0.02)
        await ws.wait_closed()

    async def use(client):
        assert (await in_thread(client.recv_frame)).payload == b"never answered"
        assert await in_thread(client.recv_text) == "still here"
        await asyncio.sleep(0.05)
        await expect_close(client, 4002)

    one_client(handler, use)


def test_a_recv_that_is_dropped_unawaited_takes_nothing():
    async def handler(ws):
        ws.recv()
        task = asyncio.create_task(ws.recv())
        await asyncio.sleep(0)
        task.cancel()
        del task
        await asyncio.sleep(0.02)
        assert await ws.recv() == "kept"
        await ws.send("ok")

    async def use(client):
        client.send_text("kept")
        assert await in_thread(client.recv_text) == "ok"
        await in_thread(client.finish)

    one_client(handler, use)


# --------------------------------------------------------------------------------------------------------------------- servers

def test_a_server_that_closes():
    async def main():
        server = await wsbeat.serve(echo, "127.0.0.1", 0)
        assert server.is_serving() and server.addresses == [("127.0.0.1", server.port)]
        client = await connect(server)
        await until(lambda: server.connections)
        server.close(1012, "restart")
        assert await in_thread(client.recv_close) == (1012, "restart")
        client.send_close(1012)
        await server.wait_closed()
        assert not server.is_serving() and not server.connections
        server.close()
        await server.wait_closed()
        metrics = server.metrics()
        assert metrics["opened"] == metrics["closed"] == 1 and metrics["closed_by_cause"]["server_stop"] == 1
        assert "wsbeat_" in server.metrics_text()
        with pytest.raises(OSError):
            await connect(server)

    run(main())


def test_serve_forever_cancelled_closes():
    async def main():
        server = await wsbeat.serve(echo, "127.0.0.1", 0)
        forever = asyncio.create_task(server.serve_forever())
        client = await connect(server)
        forever.cancel()
        assert (await in_thread(client.recv_close))[0] == 1001
        client.send_close(1001)
        with pytest.raises(asyncio.CancelledError):
            await forever
        assert not server.is_serving()

    run(main())


def test_errors_of_the_start(tmp_path):
    async def main():
        async with wsbeat.serve(echo, "127.0.0.1", 0) as server:
            with pytest.raises(wsbeat.AddressError) as caught:
                await wsbeat.serve(echo, "127.0.0.1", server.port)
            assert isinstance(caught.value, OSError) and str(caught.value)
        with pytest.raises(wsbeat.TlsError):
            await wsbeat.serve(echo, "127.0.0.1", 0, ssl=(tmp_path / "absent.pem", tmp_path / "absent.key"))

    run(main())


def test_two_loops_in_two_threads():
    async def both():
        await asyncio.gather(*(in_thread(run, one(number)) for number in range(2)))

    async def one(number):
        async with wsbeat.serve(echo, "127.0.0.1", 0) as server:
            async with websockets.connect(f"ws://127.0.0.1:{server.port}/") as client:
                for _ in range(50):
                    await client.send(str(number))
                    assert await client.recv() == str(number)

    run(both())


def test_uvloop():
    uvloop = pytest.importorskip("uvloop")

    async def main():
        async with wsbeat.serve(echo, "127.0.0.1", 0) as server:
            async with websockets.connect(f"ws://127.0.0.1:{server.port}/") as client:
                for number in range(100):
                    await client.send(str(number))
                    assert await client.recv() == str(number)
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(client.recv(), 0.01)

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(asyncio.wait_for(main(), 20))
    finally:
        loop.close()
