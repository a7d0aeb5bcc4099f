"""Topics in both faces: subscriptions, publications from anywhere, who may, limits, order, and nothing left behind."""

import asyncio
import gc
import queue
import sys
import threading
import weakref

import pytest
import wsraw
from conftest import connect, in_thread, run, until

import wsbeat

LIMIT_S = 20


@pytest.fixture
def joined(start):
    """joined(setting...): a callback server, and join(): a client, kept open, with its connection."""
    clients = []

    def make(**settings):
        server = wsbeat.Server(port=0, **settings)
        opened = queue.Queue()
        server.on_open(opened.put)
        start(server)

        def join(**options):
            clients.append(wsraw.connect(server.port, **options))
            return clients[-1], opened.get(timeout=LIMIT_S)

        return server, join

    yield make
    for client in clients:
        client.close()


# ---------------------------------------------------------------------------------------------------------------- callbacks


def test_subscribe_publish_unsubscribe(joined):
    server, join = joined()
    (one, first), (two, second) = join(), join()
    assert first.subscribe("orders.*") is False
    first.subscribe("orders.17")
    first.subscribe("orders.17")
    second.subscribe("h\u00e9llo.>")
    assert sorted(first.topics()) == ["orders.*", "orders.17"] and second.topics() == ["h\u00e9llo.>"] and first.info().topics == 2
    assert server.publish("orders.17", "paid") == wsbeat.Published(1, 0, None)
    assert server.publish("orders.17", "for nobody", exclude=first) == (0, 0, None, None)
    assert server.publish("h\u00e9llo.world", bytearray(b"\0\xff"), local=True) == (1, 0, None, None)
    first.unsubscribe("orders.*")
    first.unsubscribe("orders.17")
    with pytest.raises(wsbeat.NotSubscribedError):
        first.unsubscribe("orders.17")
    assert server.publish("orders.17", "for nobody") == (0, 0, None, None) and first.topics() == []
    first.send("end")
    assert [one.recv_text(), one.recv_text()] == ["paid", "end"] and two.recv_message() == b"\0\xff"
    numbers = server.metrics()
    assert (numbers["subscriptions"], numbers["published"], numbers["publish_reached"], numbers["publish_refused"]) == (1, 4, 2, 0)
    assert (numbers["backplane_state"], numbers["backplane_published"]) == ("none", 0)


def test_retained_messages_come_first(joined):
    server, join = joined(max_retained_bytes=1024)
    server.publish("news.a", "old", retain=True)
    server.publish("news.b", b"b", retain=True)
    server.publish("news.a", "new", retain=True)
    assert server.metrics()["retained_messages"] == 2
    client, conn = join()
    conn.send("before")
    conn.subscribe("news.*")
    server.publish("news.a", "", retain=True)
    assert [client.recv_text(), client.recv_message(), client.recv_text(), client.recv_text()] == ["before", b"b", "new", ""]
    assert server.metrics()["retained_messages"] == 1
    with pytest.raises(wsbeat.TooBigError):
        server.publish("news.c", bytes(2000), retain=True)


@pytest.mark.parametrize("name", ["", ".", "a..b", "a b", "a\0b", "a.b*", ">.a", "x" * 256])
def test_malformed_names(joined, name):
    server, join = joined()
    conn = join()[1]
    for call in (conn.subscribe, conn.unsubscribe, lambda name: server.publish(name, "x"), lambda name: wsbeat.topic_covers("a", name)):
        with pytest.raises(wsbeat.InvalidError, match="topic: "):
            call(name)
    assert conn.topics() == []


def test_wrong_types(joined):
    server, join = joined()
    conn = join()[1]
    other, join_other = joined()
    for call in (lambda: conn.subscribe(b"a"), lambda: conn.subscribe(None), lambda: server.publish(1, "x"), lambda: server.publish("a", 1),
                 lambda: server.publish("a", "x", exclude="me"), lambda: server.publish("a", None), lambda: wsbeat.topic_covers("a", 1)):
        with pytest.raises(TypeError):
            call()
    for call in (lambda: conn.subscribe("\ud800"), lambda: server.publish("a", "\ud800")):
        with pytest.raises(UnicodeEncodeError):
            call()
    with pytest.raises(wsbeat.InvalidError):
        server.publish("*", "a pattern")
    with pytest.raises(wsbeat.InvalidError, match="another server"):
        server.publish("a", "x", exclude=join_other()[1])


def test_topic_covers():
    assert wsbeat.topic_covers("a.*", "a.b") is True and wsbeat.topic_covers(">", "a.*") is True
    assert wsbeat.topic_covers("a.*", "a.b.c") is False and wsbeat.topic_covers("a.b", "a.*") is False


def test_limits(joined):
    server, join = joined(max_topics_per_connection=2, max_subscriptions=3)
    one, two = join()[1], join()[1]
    one.subscribe("a")
    one.subscribe("b")
    with pytest.raises(wsbeat.LimitError):
        one.subscribe("c")
    two.subscribe("a")
    with pytest.raises(wsbeat.LimitError):
        two.subscribe("b")
    one.unsubscribe("a")
    two.subscribe("b")
    for name in ("max_topics_per_connection", "max_subscriptions", "max_retained_messages", "max_retained_bytes"):
        for wrong in (-1, 0, 2**70):
            with pytest.raises(wsbeat.ConfigError):
                wsbeat.Server(port=0, **{name: wrong})
    assert server.metrics()["subscriptions"] == 3


def test_who_may_subscribe(joined):
    server, join = joined()
    asked = []

    @server.on_subscribe
    def on_subscribe(conn, topic):
        asked.append((conn, topic, threading.current_thread()))
        if topic == "raise":
            raise LookupError(topic)
        if topic == "nested":
            conn.subscribe("own.nested")
            server.publish("own.nested", "from the judge")
        return {"none": None, "truthy": 1}.get(topic, wsbeat.topic_covers("own.>", topic) or topic == "nested")

    client, conn = join()
    conn.subscribe("own.a")
    assert asked == [(conn, "own.a", threading.current_thread())]
    with pytest.raises(wsbeat.RefusedError):
        conn.subscribe("other")
    with pytest.raises(LookupError, match="raise"):
        conn.subscribe("raise")
    for wrong in ("none", "truthy"):
        with pytest.raises(TypeError, match="True or False"):
            conn.subscribe(wrong)
    with pytest.raises(wsbeat.InvalidError):
        conn.subscribe("a..b")
    assert len(asked) == 5  # not for malformed ones
    conn.subscribe("nested")
    assert client.recv_text() == "from the judge"
    assert sorted(conn.topics()) == ["nested", "own.a", "own.nested"]
    reference = weakref.ref(on_subscribe)
    server._engine.set_handlers({"subscribe": None})
    conn.subscribe("other")
    del on_subscribe
    gc.collect()
    assert reference() is None


def test_the_end_of_a_connection_ends_its_subscriptions(start):
    server = wsbeat.Server(port=0)
    ends = queue.Queue()
    server.on_open(lambda conn: conn.subscribe("a"))

    @server.on_close
    def on_close(conn, info):
        ends.put((conn, server.metrics()["subscriptions"]))

    start(server)
    client = wsraw.connect(server.port)
    while server.publish("a", "x").reached != 1:
        pass
    client.abort()
    conn, left = ends.get(timeout=LIMIT_S)
    assert left == 0 and server.publish("a", "x", exclude=conn) == (0, 0, None, None)
    for call in (conn.topics, lambda: conn.subscribe("a"), lambda: conn.unsubscribe("a")):
        with pytest.raises(wsbeat.ConnectionClosedError) as caught:
            call()
        assert caught.value.info is conn.close_info


def test_order_of_send_and_publish(start):
    """What a callback sends and publishes leaves in the order of its calls, though sent messages are collected."""
    server = wsbeat.Server(port=0, max_queue_bytes=2**22)
    server.on_open(lambda conn: conn.subscribe("room"))

    @server.on_message
    def on_message(conn, message):
        for number in range(int(message)):
            conn.send(f"{3 * number}")
            server.publish("room", f"{3 * number + 1}")
            conn.send(f"{3 * number + 2}")

    start(server)
    with wsraw.connect(server.port) as client:
        client.send_text("700")
        assert [client.recv_text() for _ in range(2100)] == [str(number) for number in range(2100)]


def test_publishing_from_threads(joined):
    """Each thread's publications arrive in its order, and what the event thread sends keeps its own while others flush it."""
    server, join = joined(max_queue_bytes=2**24)
    per_thread, rounds = 2000, 12

    @server.on_message
    def on_message(conn, message):
        for number in range(per_thread):
            conn.send(f"sender {number}")

    client, conn = join()
    conn.subscribe("numbers.>")

    def publish(name):
        for number in range(per_thread):
            assert server.publish(f"numbers.{name}", f"{name} {number}").reached == 1

    def one_round():
        threads = [threading.Thread(target=publish, args=(name,)) for name in ("a", "b", "c")]
        seen = {"a": [], "b": [], "c": [], "sender": []}
        for thread in threads:
            thread.start()
        client.send_text("go")
        for _ in range(4 * per_thread):
            name, number = client.recv_text().split()
            seen[name].append(int(number))
        for thread in threads:
            thread.join()
        assert all(numbers == list(range(per_thread)) for numbers in seen.values())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(rounds):
            one_round()
    finally:
        sys.setswitchinterval(interval)


def test_refused_receivers_are_told(joined):
    server, join = joined(max_queue_bytes=65536)
    client, conn = join(receive_buffer=4096)
    conn.subscribe("big")
    reached = 0
    while (result := server.publish("big", bytes(20000))).reached:
        reached += 1
    assert result == (0, 1, None, None) and server.metrics()["publish_refused"] == 1
    for _ in range(reached):
        assert len(client.recv_message()) == 20000


def test_many_subscriptions_leave_nothing_behind(joined):
    server, join = joined(max_topics_per_connection=20000)
    client, conn = join()

    def once():
        for number in range(2000):
            conn.subscribe(f"t.{number}")
        assert len(conn.topics()) == 2000
        for name in conn.topics():
            server.publish(name, "x", local=True)
            conn.unsubscribe(name)
        for _ in range(2000):
            assert client.recv_text() == "x"

    once()
    gc.collect()
    objects = len(gc.get_objects())
    for _ in range(3):
        once()
    gc.collect()
    assert abs(len(gc.get_objects()) - objects) < 100 and server.metrics()["subscriptions"] == 0


def test_a_server_that_runs_no_more(joined):
    server, join = joined()
    conn = join()[1]
    server.stop(deadline=0.05)
    assert server.publish("a", "x") == (0, 0, None, None)
    with pytest.raises(wsbeat.ConnectionClosed):
        conn.subscribe("a")
    assert wsbeat.Server(port=0).publish("a", "x") == (0, 0, None, None)


# ------------------------------------------------------------------------------------------------------------------ asyncio


def test_asyncio():
    asked = []

    def may(ws, topic):
        asked.append(topic)
        return topic != "secret"

    async def handler(ws):
        await ws.subscribe("room.>")
        ws.subscribe("other")  # awaited or not
        with pytest.raises(wsbeat.RefusedError):
            await ws.subscribe("secret")
        ws.unsubscribe("other")
        assert ws.topics() == ["room.>"] and ws.info().topics == 1
        async for message in ws:
            await ws.send("first")
            result = server.publish("room.a", message, exclude=ws if message == "quiet" else None)
            await ws.send(repr(tuple(result)))

    async def main():
        nonlocal server
        async with wsbeat.serve(handler, "127.0.0.1", 0, on_subscribe=may, max_topics_per_connection=2) as server:
            with await connect(server) as client:
                client.send_text("hello")
                assert [await in_thread(client.recv_text) for _ in range(3)] == ["first", "hello", "(1, 0, None, None)"]
                client.send_text("quiet")
                assert [await in_thread(client.recv_text) for _ in range(2)] == ["first", "(0, 0, None, None)"]
                await in_thread(server.publish, "room.thread", "from a thread")
                assert await in_thread(client.recv_text) == "from a thread"
            await until(lambda: not server.connections)
            assert server.metrics()["subscriptions"] == 0 and asked == ["room.>", "other", "secret"]

    server = None
    run(main())


@pytest.mark.parametrize("wrong", [1, "x"])
def test_asyncio_hook_must_be_a_function(wrong):
    async def handler(ws):
        pass

    with pytest.raises(TypeError):
        wsbeat.serve(handler, on_subscribe=wrong)


def test_a_coroutine_function_lets_nobody_in():
    outcome = []

    async def may(ws, topic):
        return True

    async def handler(ws):
        with pytest.raises(TypeError, match="True or False"):
            ws.subscribe("a")
        outcome.append(ws.topics())

    async def main():
        async with wsbeat.serve(handler, "127.0.0.1", 0, on_subscribe=may) as server:
            with await connect(server):
                await until(lambda: outcome)

    with pytest.warns(RuntimeWarning, match="never awaited"):
        run(main())
        gc.collect()
    assert outcome == [[]]


def test_a_closed_asyncio_connection():
    ended = []

    async def handler(ws):
        await ws.wait_closed()
        for call in (ws.topics, lambda: ws.subscribe("a"), lambda: ws.unsubscribe("a")):
            with pytest.raises(wsbeat.ConnectionClosed):
                call()
        ended.append(ws)

    async def main():
        async with wsbeat.serve(handler, "127.0.0.1", 0) as server:
            (await connect(server)).abort()
            await until(lambda: ended)

    run(main())


def test_fan_out_from_asyncio():
    async def handler(ws):
        await ws.subscribe("all")
        await ws.wait_closed()

    async def main():
        async with wsbeat.serve(handler, "127.0.0.1", 0) as server:
            clients = await in_thread(lambda: [wsraw.connect(server.port) for _ in range(50)])
            await until(lambda: server.metrics()["subscriptions"] == 50)
            for number in range(100):
                assert server.publish("all", str(number)).reached == 50
            expected = [str(number) for number in range(100)]
            assert await in_thread(lambda: [[client.recv_text() for _ in range(100)] for client in clients]) == [expected] * 50
            for client in clients:
                client.close()

    run(asyncio.wait_for(main(), LIMIT_S))
