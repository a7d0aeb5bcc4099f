"""Presence in both faces: names that come and go with connections, who watches, and what they are sent."""

import asyncio
import json
import queue
import sys
import threading

import pytest
import wsraw
from conftest import connect, in_thread, run, until

import wsbeat

LIMIT_S = 20


def tell(topic, member, present):
    return json.dumps([topic, member, present])


@pytest.fixture
def joined(start):
    """joined(setting...): a callback server whose watchers are told in JSON, and join(): a client, kept open, with its connection."""
    clients = []

    def make(**settings):
        server = wsbeat.Server(port=0, **settings)
        opened = queue.Queue()
        server.on_open(opened.put)
        server.on_presence(tell)
        start(server)

        def join():
            clients.append(wsraw.connect(server.port))
            return clients[-1], opened.get(timeout=LIMIT_S)

        return server, join

    yield make
    for client in clients:
        client.close()


def told(client):
    return tuple(json.loads(client.recv_text()))


def test_names_come_and_go(joined):
    server, join = joined()
    (watching, watcher), (one, first), (_, second) = join(), join(), join()
    watcher.watch("room")
    watcher.watch("room")
    assert server.members("room") == [] and server.members("nowhere") == []
    first.join("room", "\u00e9lise")
    first.join("room", "\u00e9lise")
    second.join("room", "bob")
    assert sorted(server.members("room")) == ["bob", "\u00e9lise"]
    second.join("room", "\u00e9lise")  # in the place of bob
    first.leave("room")
    assert server.members("room") == ["\u00e9lise"]
    second.leave("room")
    assert [told(watching) for _ in range(4)] == [("room", "\u00e9lise", True), ("room", "bob", True), ("room", "bob", False),
                                                  ("room", "\u00e9lise", False)]
    first.join("room", "again")
    one.abort()
    assert [told(watching), told(watching)] == [("room", "again", True), ("room", "again", False)]
    watcher.unwatch("room")
    second.join("room", "unseen")
    watcher.send("end")
    assert watching.recv_text() == "end"
    numbers = server.metrics()
    assert (numbers["presence_members"], numbers["presence_watches"]) == (1, 0) and numbers["presence_joins"] >= 4


def test_the_end_of_a_connection_is_a_leave(start):
    """Before its on_close."""
    server = wsbeat.Server(port=0)
    ends = queue.Queue()
    server.on_open(lambda conn: conn.join("room", conn.path))
    server.on_close(lambda conn, info: ends.put((conn, server.members("room"))))
    start(server)
    client = wsraw.connect(server.port, "/me")
    while server.members("room") != ["/me"]:
        pass
    client.abort()
    conn, left = ends.get(timeout=LIMIT_S)
    assert left == []
    for call in (lambda: conn.join("room", "x"), lambda: conn.leave("room"), lambda: conn.watch("room"), lambda: conn.unwatch("room")):
        with pytest.raises(wsbeat.ConnectionClosed):
            call()


def test_errors(joined):
    server, join = joined(max_topics_per_connection=2)
    conn = join()[1]
    for topic in ("", "a.*", ">", "a..b"):
        for call in (lambda topic: conn.join(topic, "x"), conn.leave, conn.watch, conn.unwatch, server.members):
            with pytest.raises(wsbeat.InvalidError):
                call(topic)
    for member in ("", "x" * 256, "a\nb"):
        with pytest.raises(wsbeat.InvalidError):
            conn.join("room", member)
    for call in (lambda: conn.join("room", b"x"), lambda: conn.join(1, "x"), lambda: conn.watch(None), lambda: server.members(b"a")):
        with pytest.raises(TypeError):
            call()
    for call in (conn.leave, conn.unwatch):
        with pytest.raises(wsbeat.NotSubscribedError):
            call("room")
    conn.subscribe("a")
    conn.join("a", "x")
    with pytest.raises(wsbeat.LimitError):
        conn.watch("a")
    conn.leave("a")
    conn.watch("a")


@pytest.mark.parametrize("made", [None, "raises", b"bytes"])
def test_what_watchers_are_sent(joined, log, made):
    server, join = joined()

    @server.on_presence
    def on_presence(topic, member, present):
        if made == "raises":
            raise LookupError
        return made

    (client, watcher), (_, other) = join(), join()
    watcher.watch("room")
    other.join("room", "x")
    watcher.send("end")
    if made == b"bytes":
        assert client.recv_message() == b"bytes"
    assert client.recv_text() == "end"
    assert [record.exc_info[0] for record in log.records if record.exc_info] == ([LookupError] if made == "raises" else [])


def test_formatting_cannot_use_the_server(joined):
    server, join = joined()
    (client, watcher), (_, other) = join(), join()
    refused = []

    @server.on_presence
    def on_presence(topic, member, present):
        try:
            server.members(topic)
        except wsbeat.StateError as error:
            refused.append(error)
        return "told"

    watcher.watch("room")
    other.join("room", "x")
    assert client.recv_text() == "told" and len(refused) == 1 and server.members("room") == ["x"]


def test_threads(joined):
    """Everyone joins and leaves on threads while others look and watch; in the end the last word is right."""
    server, join = joined(max_queue_bytes=2**24)
    watching, watcher = join()
    watcher.watch("room")
    conns = [join()[1] for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        def come_and_go(conn, name):
            for _ in range(200):
                conn.join("room", name)
                server.members("room")
                conn.leave("room")
            conn.join("room", name)

        threads = [threading.Thread(target=come_and_go, args=(conn, f"name {number % 2}")) for number, conn in enumerate(conns)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT_S)
            assert not thread.is_alive()
    finally:
        sys.setswitchinterval(interval)
    watcher.send("end")
    last = {}
    while (text := watching.recv_text()) != "end":
        _, member, present = json.loads(text)
        assert last.get(member, False) != present  # they alternate
        last[member] = present
    assert last == {"name 0": True, "name 1": True} and sorted(server.members("room")) == ["name 0", "name 1"]


def test_asyncio():
    async def handler(ws):
        ws.watch("room")
        ws.join("room", ws.path[1:])
        await ws.send(json.dumps(sorted(server.members("room"))))
        async for _ in ws:
            pass

    async def main():
        nonlocal server
        async with wsbeat.serve(handler, "127.0.0.1", 0, on_presence=tell) as server:
            with await connect(server, "/a") as one:
                assert await in_thread(told, one) == ("room", "a", True) and json.loads(await in_thread(one.recv_text)) == ["a"]
                with await connect(server, "/b") as two:
                    assert await in_thread(told, one) == await in_thread(told, two) == ("room", "b", True)
                    assert json.loads(await in_thread(two.recv_text)) == ["a", "b"]
                assert await in_thread(told, one) == ("room", "b", False)
            await until(lambda: not server.connections)
            assert server.members("room") == []

    server = None
    run(asyncio.wait_for(main(), LIMIT_S))
