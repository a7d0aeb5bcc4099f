"""Servers in Python that meet at a real NATS server, and what happens without libwsbeat-nats."""

import math
import queue
import re
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import nats
import pytest
import wsraw
from conftest import connect, in_thread, run, until

import wsbeat
from wsbeat import _settings

LIMIT_S = 20
PACKAGE = Path(wsbeat.__file__).parent


@pytest.fixture
def start_nats(tmp_path):
    """start_nats(flag...): a NATS server, ended after the test."""
    started = []

    def start(*flags):
        started.append(nats.Nats(tmp_path, *flags))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def wait_for(holds):
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.005)


def is_up(server):
    return server.metrics()["backplane_state"] == "up"


def join(start, where, topic=None):
    """A callback server whose connections subscribe to `topic`."""
    server = wsbeat.Server(port=0, nats=where)
    if topic is not None:
        server.on_open(lambda conn: conn.subscribe(topic))
    start(server)
    wait_for(lambda: is_up(server))
    return server


def meet(publish, client):
    """Returns when what is published reaches the client: interest takes a moment to spread."""
    number = 0
    while True:
        number += 1
        publish(f"meet {number}")
        try:
            while client.recv_text(0.05) != f"meet {number}":
                pass
            return
        except TimeoutError:
            pass


@pytest.mark.parametrize("kind", ["url", "list", "dict", "Nats"])
def test_a_publication_crosses(start, start_nats, kind):
    url = start_nats().url
    wsbeat_nats = {"url": url, "list": [url, "nats://127.0.0.1:1"], "dict": {"servers": url, "prefix": "wsbeat"}, "Nats": wsbeat.Nats(url)}[kind]
    here, there = join(start, wsbeat_nats), join(start, url, "room.*")
    with wsraw.connect(there.port) as client:
        meet(lambda text: here.publish("room.1", text), client)
        for number in range(500):
            assert here.publish("room.1", f"{number}") == (0, 0, None, None)
        assert [client.recv_text() for _ in range(500)] == [str(number) for number in range(500)]
        assert here.publish("room.1", "stays", local=True) == (0, 0, None, None)
        here.publish("room.1", b"binary")
        assert client.recv_message() == b"binary"
        assert here.metrics()["backplane_published"] >= 501 and there.metrics()["backplane_received"] >= 501
        assert there.publish("room.1", "at home").reached == 1 and client.recv_text() == "at home"


def test_asyncio_and_callbacks_meet(start, start_nats):
    url = start_nats().url
    there = join(start, url, "room")

    async def handler(ws):
        await ws.subscribe("room")
        async for message in ws:
            server.publish("room", message, exclude=ws)

    async def main():
        nonlocal server
        async with wsbeat.serve(handler, "127.0.0.1", 0, nats=url) as server:
            await until(lambda: is_up(server))
            with await connect(server) as one, await in_thread(wsraw.connect, there.port) as two:
                await until(lambda: server.metrics()["subscriptions"] == 1)
                await in_thread(meet, one.send_text, two)
                await in_thread(meet, lambda text: there.publish("room", text), one)
                two.send_text("dropped")

    server = None
    run(main())


def test_prefixes_keep_apart_and_other_clients_speak(start, start_nats):
    server = start_nats()
    ours, others = (join(start, {"servers": server.url, "prefix": prefix}, "a.>") for prefix in ("ours", "others"))
    raw = nats.RawNats(server.port)
    raw.subscribe("*.a.b")
    with wsraw.connect(ours.port) as client, wsraw.connect(others.port) as other:
        meet(lambda text: raw.publish("ours.a.b", text.encode()), client)
        wait_for(lambda: others.metrics()["subscriptions"] == 1)
        others.publish("a.b", "theirs")
        while (message := raw.next_message()).subject != "others.a.b":
            pass
        assert message.data == b"theirs" and other.recv_text() == "theirs"
        ours.publish("a.b", "ours")
        assert client.recv_text() == "ours"
    raw.close()


def test_nats_away_is_told(start, start_nats, log):
    """Local delivery goes on; publications are kept or refused; ups and downs are logged."""
    server = start_nats()
    keeping = join(start, wsbeat.Nats(server.url, ping_interval=0.2), "a")
    refusing = join(start, wsbeat.Nats(server.url, refuse_when_down=True, ping_interval=0.2), "a")
    small = join(start, wsbeat.Nats(server.url, buffer_bytes=1024, ping_interval=0.2))
    with wsraw.connect(keeping.port) as client, wsraw.connect(refusing.port) as other:
        meet(lambda text: keeping.publish("a", text), other)
        meet(lambda text: refusing.publish("a", text), client)
        server.kill()
        wait_for(lambda: not any(map(is_up, (keeping, refusing, small))))
        result = refusing.publish("a", "here only")
        assert result[:2] == (1, 0) and isinstance(result.backplane, wsbeat.StateError) and str(result.backplane)
        while other.recv_text() != "here only":
            pass
        assert keeping.publish("a", "kept") == (1, 0, None, None)
        while client.recv_text() != "kept":
            pass
        assert any(isinstance(small.publish("b", bytes(100)).backplane, wsbeat.FullError) for _ in range(20))
        server.start()
        wait_for(lambda: is_up(keeping) and is_up(refusing))
        while other.recv_text() != "kept":
            pass
    levels = {record.levelname for record in log.records if "nats" in record.getMessage().lower()}
    assert "WARNING" in levels


def test_retained_messages_cross(start, start_nats):
    url = start_nats().url
    here, there = join(start, url), join(start, url, "news")
    with wsraw.connect(there.port) as client:
        meet(lambda text: here.publish("news", text), client)
        here.publish("news", "newest", retain=True)
        while client.recv_text() != "newest":
            pass
        with wsraw.connect(there.port) as late:
            assert late.recv_text() == "newest"


# --------------------------------------------------------------------------------------------------- JetStream: durable topics

DURABLE = ["orders.>", "log.*"]


@pytest.fixture
def jetstream(start_nats, tmp_path):
    """A NATS server that keeps streams."""
    return start_nats("-js", "-sd", tmp_path / "streams")


def durable_server(start, url, formats=True, **settings):
    """A callback server; on_resumed's arguments go to its `resumed`."""
    server = wsbeat.Server(port=0, nats=wsbeat.Nats(url, durable=DURABLE, ping_interval=0.2, **settings))
    server.resumed = queue.Queue()

    @server.on_message
    def on_message(conn, message):
        topic, _, after = message.partition(" ")
        conn.subscribe(topic, after=int(after) if after else None)

    server.on_resumed(lambda conn, topic, resumed: (conn.send("resumed {} {} {}".format(*resumed)), server.resumed.put((topic, resumed))))
    if formats:
        server.on_durable(lambda message: f"{message.sequence} {message.data} {message.subscription}")
    return start(server)


def test_durable_topics(start, jetstream):
    """Across servers: stored once, in order, and what was missed comes after a reconnect."""
    here, there = durable_server(start, jetstream.url), durable_server(start, jetstream.url)
    client = wsraw.connect(there.port)
    assert client.command("orders.>") == "resumed 0 0 False"
    futures = [here.publish("orders.1", f"order {number}").stored for number in range(1, 201)]
    assert [future.result(LIMIT_S) for future in futures] == [wsbeat.Stored(number, False) for number in range(1, 201)]
    assert [client.recv_text() for _ in range(200)] == [f"{number} order {number} None" for number in range(1, 201)]
    assert here.publish("orders.1", "order 201", key="201").stored.result(LIMIT_S) == (201, False)
    assert there.publish("orders.1", "again", key="201").stored.result(LIMIT_S).duplicate
    assert here.publish("plain", "x").stored is None
    client.close()
    with wsraw.connect(here.port) as back:
        back.send_text("orders.* 150")
        assert [back.recv_text() for _ in range(51)] == [f"{number} order {number} orders.*" for number in range(151, 202)]
        assert back.recv_text() == "resumed 201 51 False"
        there.publish("orders.2", "live")
        assert back.recv_text() == "202 live None"
        assert back.command("orders.> 1000") == "resumed 202 0 True"


def test_durable_topics_outlive_servers_and_nats(start, jetstream):
    """NATS is killed while publications wait; all are stored once when it is back, and the stream knows the old ones."""
    first = durable_server(start, jetstream.url)
    first.publish("log.a", "one").stored.result(LIMIT_S)
    jetstream.kill()
    wait_for(lambda: not is_up(first))
    waiting = [first.publish("log.a", text).stored for text in ("two", "three")]
    assert not any(future.done() for future in waiting)
    jetstream.start()
    assert [future.result(LIMIT_S).sequence for future in waiting] == [2, 3]
    first.stop(deadline=0.1)
    second = durable_server(start, jetstream.url, formats=False)
    with wsraw.connect(second.port) as client:
        client.send_text("log.a 0")
        assert [client.recv_text() for _ in range(4)] == ["one", "two", "three", "resumed 3 3 False"]


def test_durable_topics_in_asyncio(start, jetstream):
    """The handler of the page, with a server in callbacks beside it."""
    page = (Path(__file__).parent.parent.parent / "docs/python.md").read_text()
    names = {}
    exec(re.search(r"^```python\n(async def handler\(ws\):\n    after.*?)^```$", page, re.S | re.M)[1], names)  # pylint: disable=exec-used
    other = durable_server(start, jetstream.url)
    other.publish("orders.old", "old").stored.result(LIMIT_S)

    async def main():
        nats_settings = {"servers": jetstream.url, "durable": "orders.>,log.*", "max_replay": 2}
        async with wsbeat.serve(names["handler"], "127.0.0.1", 0, nats=nats_settings, on_durable=names["on_durable"]) as server:
            names["server"] = server
            with await connect(server, headers=[("last-seen", "0")]) as client:
                assert await in_thread(client.recv_text) == "1 orders.old old"
                client.send_text("fresh")
                assert {await in_thread(client.recv_text) for _ in range(2)} == {"2 orders.new fresh", "stored as 2"}
                await in_thread(lambda: other.publish("orders.there", "from there").stored.result(LIMIT_S))
                assert await in_thread(client.recv_text) == "3 orders.there from there"
            with await connect(server, headers=[("last-seen", "0")]) as client:
                assert await in_thread(client.recv_text) == "more was missed than is kept"

    run(main())


def test_a_stop_tells_what_is_not_known(start, jetstream):
    server = durable_server(start, jetstream.url)
    server.publish("log.a", "x").stored.result(LIMIT_S)
    jetstream.kill()
    wait_for(lambda: not is_up(server))
    waiting = [server.publish("log.a", "x").stored for _ in range(5)]
    server.stop(deadline=0.1)
    assert all(isinstance(future.exception(LIMIT_S), wsbeat.StateError) for future in waiting)


# ------------------------------------------------------------------------------------------------------ JetStream: presence


def presence_server(start, url):
    """Its connections join "room" under the name that their path has, or watch it if that is "watch"."""
    server = wsbeat.Server(port=0, nats=wsbeat.Nats(url, presence_ttl=1, ping_interval=0.2))
    server.on_open(lambda conn: conn.watch("room") if conn.path == "/watch" else conn.join("room", conn.path[1:]))
    server.on_presence(lambda topic, member, present: f"{topic} {member} {present}")
    start(server)
    wait_for(lambda: is_up(server))
    return server


MEMBER = """
import sys, wsbeat
server = wsbeat.Server(port=0, nats=wsbeat.Nats(sys.argv[1], presence_ttl=1, ping_interval=0.2))
server.on_open(lambda conn: conn.join("room", "elsewhere"))
server.start()
print(server.port, flush=True)
sys.stdin.readline()
"""


def test_presence_across_servers(start, jetstream):
    """Names come and go on one server and are told on the other; those of a killed process go when its time is up."""
    here, there = presence_server(start, jetstream.url), presence_server(start, jetstream.url)
    with wsraw.connect(here.port, "/early"), wsraw.connect(there.port, "/watch") as watching:
        assert watching.recv_text() == "room early True"
        with wsraw.connect(here.port, "/alice") as one:
            assert watching.recv_text() == "room alice True" and sorted(there.members("room")) == ["alice", "early"]
            with wsraw.connect(there.port, "/alice"):
                wait_for(lambda: there.metrics()["presence_joins"] == 1)  # nobody is told: she is there already
                one.abort()
                wait_for(lambda: here.members("room") == ["early"])
        assert watching.recv_text() == "room alice False"
        process = subprocess.Popen([sys.executable, "-c", MEMBER, jetstream.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            with wsraw.connect(int(process.stdout.readline())):
                assert watching.recv_text() == "room elsewhere True"
                process.kill()
                assert watching.recv_text() == "room elsewhere False"
        finally:
            process.kill()
            process.communicate()
        assert there.members("room") == ["early"]


def test_settings_of_durable_topics():
    fields = _settings.nats_settings(wsbeat.Nats("nats://a", durable=DURABLE, durable_max_age=90.0, durable_max_bytes=2**40, durable_replicas=3,
                                                 max_replay=7, replay_memory_bytes=4096, presence_ttl=1.5))
    assert fields == {"servers": "nats://a", "durable": "orders.>,log.*", "durable_max_age_s": 90, "durable_max_bytes": 2**40,
                      "durable_replicas": 3, "max_replay": 7, "replay_memory_bytes": 4096, "presence_ttl_ms": 1500, "refuse_when_down": False}
    assert _settings.nats_settings({"durable_max_age": math.inf})["durable_max_age_s"] == _settings.OFF
    for wrong, text in (({"durable": "a..b"}, "durable"), ({"durable": "a.*.b,a.c.*"}, "overlap"), ({"durable": ["a,b"]}, "comma"),
                        ({"durable": "a", "durable_replicas": 9}, "durable_replicas"), ({"durable": "a", "max_replay": 0}, "max_replay"),
                        ({"durable": "a", "durable_max_age": 10**10}, "durable_max_age"), ({"presence_ttl": 0.5}, "presence_ttl")):
        with pytest.raises(wsbeat.ConfigError, match=text):
            wsbeat.Server(port=0, nats=wrong)
    for wrong in ({"durable": 1}, {"durable": [1]}, {"durable_max_age": "1"}):
        with pytest.raises(TypeError):
            wsbeat.Server(port=0, nats=wrong)


# ---------------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize("wrong, text", [
    ([], "no server"), ("", "no server"), ({"servers": "nats://h", "prefix": "a.*"}, "prefix"),
    ({"buffer_bytes": 1}, "buffer_bytes"), ({"buffer_bytes": 0}, "buffer_bytes"), ({"ping_interval": 0.001}, "ping_interval"),
    ({"tls_cert_file": "x.pem"}, "tls_"), ({"tls_ca_file": "/does/not/exist"}, "tls_ca_file"),
    ({"prefix": "a\0b"}, "prefix"), (["nats://a,nats://b"], "comma")])
def test_wrong_settings(wrong, text):
    with pytest.raises(wsbeat.ConfigError, match=text):
        wsbeat.Server(port=0, nats=wrong)


@pytest.mark.parametrize("wrong", [{"server": "nats://x"}, 1, [1], {"buffer_bytes": "1"}, {"prefix": 1}, {"servers": 1}])
def test_wrong_types(wrong):
    with pytest.raises(TypeError):
        wsbeat.Server(port=0, nats=wrong)


def test_a_password_is_not_shown():
    assert "secret" not in repr(wsbeat.Nats("nats://me:secret@host"))


WITHOUT = """
import sys, wsbeat
from wsbeat import _settings
_settings.version = lambda: "0.999.0"  # a name that no library has
try:
    wsbeat.Server(port=0, nats="nats://127.0.0.1:4222")
except wsbeat.ConfigError as error:
    print(error)
with wsbeat.Server(port=0) as server:
    print(server.port > 0, any("nats" in line for line in open("/proc/self/maps")))
"""


def test_without_the_library():
    """A clear error that names what to install, and nothing of NATS in the process; all else works."""
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    error, rest = done.stdout.splitlines()
    assert done.returncode == 0 and rest == "True False"
    assert "libwsbeat-nats.so.0.999" in error and "install libwsbeat-nats0.1, or libnats-dev" in error


def test_the_wheel_brings_the_library():
    (wheel,) = (PACKAGE / "../../../../../dist").resolve().glob("wsbeat-*.whl")
    assert "wsbeat/libwsbeat-nats.so.0.1" in zipfile.ZipFile(wheel).namelist()
    module = next(PACKAGE.glob("_wsbeat.*.so"))
    for file in (module, PACKAGE / "wsbeat-server"):
        assert "libnats" not in subprocess.run(["ldd", file], capture_output=True, text=True, timeout=10, check=True).stdout


def test_the_server_of_the_wheel_finds_it(start_nats):
    process = subprocess.Popen([sys.executable, "-m", "wsbeat", "serve", "--port", "0", "--topics", "--nats", start_nats().url],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        while not (found := re.search(r"listening on \S+:(\d+)", line := process.stdout.readline())):
            assert line, "it ended"
        port = int(found[1])
        wait_for(lambda: b"nats: up" in wsraw.http(port, "/healthz").body)
    finally:
        process.kill()
        process.communicate()


def test_threads_publish_while_everything_comes_and_goes(start, start_nats):
    """Publishers on several threads, subscriptions that change, and a NATS server that restarts: no deadlock, and it goes on."""
    server = start_nats()
    here, there = join(start, wsbeat.Nats(server.url, ping_interval=0.2)), join(start, wsbeat.Nats(server.url, ping_interval=0.2), "a.>")
    stop, failures = threading.Event(), queue.Queue()

    def work(function):
        try:
            while not stop.is_set():
                function()
        except BaseException as error:  # pylint: disable=broad-exception-caught
            failures.put(error)

    with wsraw.connect(there.port) as client, wsraw.connect(here.port):
        wait_for(lambda: here.connections and there.connections)
        conn = here.connections[0]

        def change():
            conn.subscribe("b.*")
            conn.unsubscribe("b.*")

        threads = [threading.Thread(target=work, args=(function,)) for function in
                   (lambda: here.publish("a.1", "x"), lambda: there.publish("b.1", "x"), change, here.metrics)]
        for thread in threads:
            thread.start()
        reader = threading.Thread(target=work, args=(lambda: client.recv_text(LIMIT_S),))
        reader.start()
        for _ in range(2):
            before = there.metrics()["backplane_received"]
            wait_for(lambda: there.metrics()["backplane_received"] > before)
            server.kill()
            wait_for(lambda: not is_up(here))
            server.start()
            wait_for(lambda: is_up(here) and is_up(there))
        stop.set()
        for thread in threads:
            thread.join(LIMIT_S)
        here.publish("a.1", "x")
        there.publish("a.1", "x")  # for a reader that waits
        reader.join(LIMIT_S)
        assert not any(thread.is_alive() for thread in [*threads, reader]) and failures.empty()
