"""Durable topics with asyncio against a store in memory: futures, the wait for the present, and the end."""

import asyncio

import pytest
from conftest import connect, in_thread, run, until

import wsbeat

LIMIT_S = 20


def serve(handler, **settings):
    return wsbeat.serve(handler, "127.0.0.1", 0, **settings)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_asyncio(store, kind):
    loops = pytest.importorskip(kind)
    seen = []

    async def handler(ws):
        seen.append(await ws.subscribe("plain"))
        seen.append(await ws.subscribe("d.1", after=0))
        stored = server.publish("d.1", "two").stored
        with pytest.raises(wsbeat.StateError):
            stored.result()
        seen.append(await stored)
        seen.append(await stored)  # again, and elsewhere
        seen.append(await asyncio.gather(*(server.publish("d.1", "three", key="k").stored for _ in range(3))))
        async for _ in ws:
            pass

    async def main():
        nonlocal server
        async with serve(handler, on_durable=lambda message: f"{message.sequence} {message.data} {message.subscription}") as server:
            assert await server.publish("d.1", "one").stored == (1, False)
            with await connect(server) as client:
                texts = [await in_thread(client.recv_text) for _ in range(3)]
                assert texts == ["1 one d.1", "2 two None", "3 three None"]
                await until(lambda: len(seen) == 5)
            assert await in_thread(lambda: server.publish("d.1", "from a thread").stored.result(LIMIT_S)) == (4, False)
        assert seen[:4] == [None, wsbeat.Resumed(1, 1, False), (2, False), (2, False)]
        assert sorted(seen[4]) == [(3, False), (3, True), (3, True)]

    server = None
    loop = loops.new_event_loop()
    try:
        loop.run_until_complete(asyncio.wait_for(main(), LIMIT_S))
    finally:
        loop.close()


def test_asyncio_waiting_for_the_present(store):
    """It ends with the subscription, with the connection, and by cancellation."""
    outcome = []

    async def handler(ws):
        store.hold_replays(True)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ws.subscribe("d.0"), 0.05)
        waiter = ws.subscribe("d.1")
        again = ws.subscribe("d.1", after=0)
        ws.unsubscribe("d.1")
        for each in (waiter, again):
            with pytest.raises(wsbeat.NotSubscribedError):
                await each
        both = [ws.subscribe("d.2"), ws.subscribe("d.2")]
        store.hold_replays(False)
        outcome.append(await asyncio.gather(*both))
        store.hold_replays(True)
        waiter = ws.subscribe("d.3")
        ws.subscribe("d.4")  # nobody waits
        outcome.append("waits")
        with pytest.raises(wsbeat.ConnectionClosed):
            await waiter
        outcome.append("closed")

    async def main():
        async with serve(handler) as server:
            client = await connect(server)
            await until(lambda: len(outcome) == 2)
            client.abort()
            await until(lambda: len(outcome) == 3)
            store.hold_replays(False)
        assert outcome[0] == [wsbeat.Resumed(0, 0, False)] * 2

    run(main())


def test_asyncio_end_with_publications_that_wait(store):
    async def handler(ws):
        await ws.wait_closed()

    async def main():
        async with serve(handler) as server:
            store.hold_feed(True)
            stored = server.publish("d.1", "x").stored
            waiting = asyncio.ensure_future(asyncio.wait_for(stored, LIMIT_S))
            await asyncio.sleep(0)
        with pytest.raises(wsbeat.StateError):
            await waiting
        with pytest.raises(wsbeat.StateError):
            await stored

    run(main())


def test_hooks_must_be_functions():
    for name in ("on_durable", "on_presence"):
        with pytest.raises(TypeError, match=name):
            serve(test_hooks_must_be_functions, **{name: 1})
