"""Durable topics by callbacks against a store in memory: futures, resuming, formatting, foreign threads, and the end."""

import concurrent.futures
import contextlib
import gc
import json
import os
import queue
import subprocess
import sys
import threading
import time
import weakref

import pytest
import wsraw

import wsbeat

LIMIT_S = 20


@pytest.fixture
def joined(store, start):
    """joined(): a callback server with a store, join(): a client, kept open, with its connection, and a queue of on_resumed's arguments."""
    clients = []

    def make(**settings):
        server = wsbeat.Server(port=0, **settings)
        opened, resumed = queue.Queue(), queue.Queue()
        server.on_open(opened.put)
        server.on_resumed(lambda *arguments: resumed.put(arguments))
        start(server)

        def join(**options):
            clients.append(wsraw.connect(server.port, **options))
            return clients[-1], opened.get(timeout=LIMIT_S)

        return server, join, resumed

    yield make
    for client in clients:
        client.close()


def result(published):
    return published.stored.result(LIMIT_S)


# ------------------------------------------------------------------------------------------------------------- publications


def test_publications_are_stored_and_come(joined):
    server, join, resumed = joined()
    (client, conn), (other, excluded) = join(), join()
    assert conn.subscribe("d.>") is True and excluded.subscribe("d.1") is True and conn.subscribe("plain") is False
    assert resumed.get(timeout=LIMIT_S)[2] == wsbeat.Resumed(0, 0, False)
    published = [server.publish("d.1", f"{number}", exclude=excluded) for number in range(300)]
    assert {each[:3] for each in published} == {(0, 0, None)}
    assert [result(each) for each in published] == [wsbeat.Stored(number + 1, False) for number in range(300)]
    assert [client.recv_text() for _ in range(300)] == [str(number) for number in range(300)]
    assert server.publish("plain", b"plain").stored is None and client.recv_message() == b"plain"
    result(server.publish("d.1", b"to both"))
    assert other.recv_message() == client.recv_message() == b"to both"
    numbers = server.metrics()
    assert (numbers["durable_stored"], numbers["durable_refused"]) == (301, 0)


def test_keys(joined):
    server = joined()[0]
    assert result(server.publish("d.1", "first", key="k")) == (1, False)
    assert result(server.publish("d.1", "again", key="k")) == (1, True)
    assert result(server.publish("d.1", "first", key="x" * 128)) == (2, False)
    for wrong in ("", "x" * 129, "a b", "\u00e9"):
        with pytest.raises(wsbeat.InvalidError):
            server.publish("d.1", "x", key=wrong)
    with pytest.raises(wsbeat.InvalidError):
        server.publish("plain", "x", key="k")
    with pytest.raises(wsbeat.InvalidError):
        server.publish("d.1", "x", local=True)
    with pytest.raises(TypeError):
        server.publish("d.1", "x", key=1)
    assert result(server.publish("d.1", "goes on")) == (3, False)


def test_what_the_store_refuses(joined, store):
    server = joined()[0]
    store.answer_done(-12)
    with pytest.raises(wsbeat.OperatingSystemError):
        result(server.publish("d.1", "x"))
    store.answer_store(-5)
    published = server.publish("d.1", "x")
    assert published.stored is None and isinstance(published.backplane, wsbeat.FullError)
    assert server.metrics()["durable_refused"] == 2


def test_the_end_settles_what_waits(store):
    server = wsbeat.Server(port=0)
    server.start()
    store.hold_feed(True)
    waiting = [server.publish("d.1", "x").stored for _ in range(10)]
    seen = queue.Queue()
    waiting[0].add_done_callback(lambda future: seen.put((future, threading.current_thread())))
    caught = []

    def wait():
        try:
            waiting[5].result(LIMIT_S)
        except wsbeat.StateError as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert not any(future.done() for future in waiting) and not waiting[1].cancel()
    with pytest.raises(concurrent.futures.TimeoutError):
        waiting[0].result(0.01)
    server.stop(deadline=0.1)
    thread.join(LIMIT_S)
    assert len(caught) == 1 and all(isinstance(future.exception(LIMIT_S), wsbeat.StateError) for future in waiting)
    assert seen.get(timeout=LIMIT_S)[0] is waiting[0]
    published = server.publish("d.1", "too late")
    assert published.stored is None and (published.backplane is None or isinstance(published.backplane, wsbeat.StateError))


def test_nobody_waits_on_the_thread_of_the_events(joined):
    server, join, _ = joined()
    outcome = queue.Queue()

    @server.on_message
    def on_message(conn, message):
        future = server.publish("d.1", message).stored
        future.add_done_callback(lambda done: outcome.put((done.result(), threading.current_thread().name)))
        for blocking in (future.result, future.exception):
            try:
                outcome.put(blocking())
            except wsbeat.StateError as error:
                outcome.put(error)

    client, _ = join()
    client.send_text("x")
    first = [outcome.get(timeout=LIMIT_S) for _ in range(3)]
    assert isinstance(first[0], wsbeat.StateError) and isinstance(first[1], wsbeat.StateError)
    assert first[2] == (wsbeat.Stored(1, False), "wsbeat")


def test_futures_do_not_stay(joined):
    server = joined()[0]

    def once():
        for _ in range(500):
            server.publish("d.1", "x")
        return result(server.publish("d.1", "x")).sequence

    once()
    gc.collect()
    objects, references = len(gc.get_objects()), sys.getrefcount(None)
    reference = weakref.ref(server.publish("d.1", "x").stored)
    assert once() == 501 + 502
    gc.collect()
    assert reference() is None
    assert abs(len(gc.get_objects()) - objects) < 100 and abs(sys.getrefcount(None) - references) < 100


def test_a_server_that_is_dropped_settles_its_futures(store):
    server = wsbeat.Server(port=0)
    server._engine.start()  # nobody delivers events
    store.hold_feed(True)
    future = server.publish("d.1", "x").stored
    reference = weakref.ref(server)
    del server
    gc.collect()
    assert reference() is None and isinstance(future.exception(0), wsbeat.StateError)


# ----------------------------------------------------------------------------------------------------------------- resuming


def test_resuming(joined, store):
    server, join, resumed = joined()
    for number in range(1, 11):
        result(server.publish(f"d.{number % 2}", str(number)))
    client, conn = join()
    assert conn.subscribe("d.1", after=4) is True
    assert resumed.get(timeout=LIMIT_S) == (conn, "d.1", wsbeat.Resumed(10, 3, False))
    result(server.publish("d.1", "11"))
    assert [client.recv_text() for _ in range(4)] == ["5", "7", "9", "11"]
    assert conn.subscribe("d.0", after=0) is True
    assert resumed.get(timeout=LIMIT_S)[1:] == ("d.0", wsbeat.Resumed(11, 5, False))
    assert [client.recv_text() for _ in range(5)] == ["2", "4", "6", "8", "10"]
    store.forget_before(6)
    conn.subscribe("d.1", after=3)
    assert resumed.get(timeout=LIMIT_S) == (conn, "d.1", wsbeat.Resumed(11, 0, True))
    conn.subscribe("d.>", 2**64 - 2)
    assert resumed.get(timeout=LIMIT_S)[2].missed is True
    for wrong in (-1, 2**64, 2**80):
        with pytest.raises(wsbeat.InvalidError, match="after is out of range"):
            conn.subscribe("d.1", after=wrong)
    for wrong in ("1", 1.0):
        with pytest.raises(TypeError):
            conn.subscribe("d.1", after=wrong)
    assert conn.subscribe("plain", after=7) is False
    assert store.faults() == 0 and server.metrics()["replays_missed"] == 2


def test_resuming_may_be_refused_and_given_up(joined, store):
    server, join, resumed = joined()
    server.on_subscribe(lambda conn, topic: topic != "d.secret")
    result(server.publish("d.1", "1"))
    client, conn = join()
    with pytest.raises(wsbeat.RefusedError):
        conn.subscribe("d.secret", after=0)
    store.hold_replays(True)
    conn.subscribe("d.1", after=0)
    conn.unsubscribe("d.1")
    store.hold_replays(False)
    conn.subscribe("d.*", after=0)
    assert resumed.get(timeout=LIMIT_S)[1] == "d.*" and resumed.empty()
    assert client.recv_text() == "1"


def test_a_resumed_handler_that_raises(joined, log):
    server, join, _ = joined()

    @server.on_resumed
    def on_resumed(conn, topic, resumed):
        raise LookupError(topic)

    client, conn = join()
    conn.subscribe("d.1")
    assert client.recv_close() == (1011, "internal error")
    assert [record.exc_info[0] for record in log.records if record.exc_info] == [LookupError]


# --------------------------------------------------------------------------------------------------------------- formatting


def test_formatting(joined):
    server, join, resumed = joined()

    @server.on_durable
    def on_durable(message):
        if message.data == "as it is":
            return None
        if message.data == b"bytes":
            return b"\0" + message.sequence.to_bytes(1, "big")
        return json.dumps([message.topic, message.data, message.sequence, message.subscription])

    client, conn = join()
    conn.subscribe("d.*")
    resumed.get(timeout=LIMIT_S)
    result(server.publish("d.\u00e9", "new"))
    assert json.loads(client.recv_text()) == ["d.\u00e9", "new", 1, None]
    result(server.publish("d.1", b"bytes", retain=True))
    assert client.recv_message() == b"\0\x02"
    result(server.publish("d.1", "as it is"))
    assert client.recv_text() == "as it is"
    late, late_conn = join()
    late_conn.subscribe("d.\u00e9", after=0)
    assert json.loads(late.recv_text()) == ["d.\u00e9", "new", 1, "d.\u00e9"]
    late_conn.subscribe("d.1")  # what is retained is formatted within subscribe()
    assert late.recv_message() == b"\0\x02"
    server.publish("plain", "is not formatted")
    result(server.publish("d.\u00e9", "again"))
    assert json.loads(late.recv_text())[1:] == ["again", 4, None]


@pytest.mark.parametrize("fault", ["raises", "type", "surrogate"])
def test_formatting_that_fails(joined, log, fault):
    """It is logged, and the data go out as they were published."""
    server, join, resumed = joined()

    @server.on_durable
    def on_durable(message):
        if fault == "raises":
            raise LookupError
        return 1 if fault == "type" else "\ud800"

    client, conn = join()
    conn.subscribe("d.1")
    resumed.get(timeout=LIMIT_S)
    server.publish("d.1", "plain")
    assert client.recv_text() == "plain"
    expected = {"raises": LookupError, "type": TypeError, "surrogate": UnicodeEncodeError}[fault]
    assert [record.exc_info[0] for record in log.records if record.exc_info] == [expected] and "on_durable failed" in log.text


def test_formatting_cannot_use_the_server(joined):
    server, join, resumed = joined()
    client, conn = join()
    refusals = []

    @server.on_durable
    def on_durable(message):
        for call in (lambda: conn.send("x"), lambda: server.publish("d.1", "x"), lambda: conn.subscribe("a"), conn.topics, server.metrics,
                     conn.close, lambda: wsbeat.broadcast([conn], "x"), lambda: server.members("a")):
            try:
                call()
            except wsbeat.StateError as error:
                refusals.append(str(error))
        return "made"

    conn.subscribe("d.1")
    resumed.get(timeout=LIMIT_S)
    server.publish("d.1", "x")
    assert client.recv_text() == "made"
    assert len(refusals) == 8 and set(refusals) == {"on_durable and on_presence only make messages: they cannot use the server"}
    conn.send("all is well again")
    assert client.recv_text() == "all is well again"


def test_threads_formatters_and_collections(joined):
    """Publishers, subscribers that resume, a formatter that makes garbage, and an interpreter that switches all the time."""
    server, join, _ = joined(max_queue_bytes=2**24)
    count = 400

    class Garbage:
        def __init__(self):
            self.me = self

    @server.on_durable
    def on_durable(message):
        Garbage()
        if message.sequence % 50 == 0:
            gc.collect()
        return f"{message.sequence}"

    clients = [join() for _ in range(3)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        def publish():
            for number in range(count):
                server.publish(f"d.{number % 3}", "x")

        def resume():
            for _ in range(40):
                server.metrics()
                spare.subscribe("d.>", after=0)
                with contextlib.suppress(wsbeat.NotSubscribedError):  # the other thread was faster
                    spare.unsubscribe("d.>")

        spare = join()[1]
        for _, conn in clients:
            conn.subscribe("d.*", after=0)
        threads = [threading.Thread(target=work) for work in (publish, publish, resume, resume)]
        for thread in threads:
            thread.start()
        for client, _ in clients:
            assert [int(client.recv_text()) for _ in range(2 * count)] == list(range(1, 2 * count + 1))
        for thread in threads:
            thread.join(LIMIT_S)
            assert not thread.is_alive()
    finally:
        sys.setswitchinterval(interval)


# --------------------------------------------------------------------------------------------------------------- the process

PROGRAM = """
import os, sys, threading, time
sys.path.insert(0, {here!r})
from store import Store
import wsbeat
from wsbeat import _settings
store = Store({library!r})
_settings.join_nats = store.join
server = wsbeat.Server(port=0)
server.on_open(lambda conn: conn.subscribe("d.>", after=0))

@server.on_durable
def on_durable(message):
    time.sleep(0.0001)
    return f"{{message.sequence}}"

def publish():
    while True:
        try:
            server.publish("d.1", "x")
        except wsbeat.WsbeatError:
            pass

server.start()
for _ in range(3):
    threading.Thread(target=publish, daemon=True).start()
print(server.port, flush=True)
sys.stdin.readline()
{body}
"""


@pytest.mark.parametrize("body", ["", "sys.exit()", "server.stop(deadline=0.2)",
                                  "threading.Thread(target=lambda: server.stop(deadline=0.2)).start()", "os.kill(os.getpid(), 2); time.sleep(60)", "os._exit(0)"])
def test_the_process_ends_while_foreign_threads_call(library, body):
    """Threads of the backplane are in the formatter, daemon threads publish: the interpreter still goes down at once, and quietly."""
    text = PROGRAM.format(here=os.path.dirname(__file__), library=os.fspath(library), body=body)
    process = subprocess.Popen([sys.executable, "-X", "dev", "-W", "ignore::ResourceWarning", "-c", text], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        with wsraw.connect(int(process.stdout.readline())) as client:
            assert [int(client.recv_text()) for _ in range(50)] == list(range(1, 51))
            begun = time.monotonic()
            process.stdin.write("\n")
            process.stdin.flush()
            client.recv_all()
            _, error = process.communicate(timeout=LIMIT_S)
        assert time.monotonic() - begun < 5
        if "kill" in body:
            assert process.returncode in (-2, 1, 130) and "KeyboardInterrupt" in error
        else:
            assert (process.returncode, error) == (0, "")
    finally:
        process.kill()
        process.communicate()
