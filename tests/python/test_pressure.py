"""Backpressure both ways, a blocked event loop, crowds, and memory that stays."""

import asyncio
import gc
import sys
import time

import pytest
import wsraw
from conftest import connect, echo, in_thread, plain_server, run, until

import wsbeat


def resident_bytes():
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))


def test_send_waits_while_the_queue_is_full():
    sent = []

    async def handler(ws):
        for number in range(200):
            await ws.send(bytes([number]) * 20000)
            sent.append(number)
        await asyncio.gather(*(ws.send(str(number)) for number in range(50)))

    async def main():
        async with wsbeat.serve(handler, "127.0.0.1", 0, max_queue_bytes=65536) as server:
            with await in_thread(wsraw.connect, server.port, receive_buffer=4096) as client:
                await until(lambda: sent)
                before = -1
                while len(sent) != before:  # until it stands still
                    before = len(sent)
                    await asyncio.sleep(0.2)
                assert 0 < len(sent) < 200
                for number in range(200):
                    assert await in_thread(client.recv_message) == bytes([number]) * 20000
                assert [await in_thread(client.recv_text) for _ in range(50)] == [str(number) for number in range(50)]
                assert (await in_thread(client.recv_close))[0] == 1000

    run(main())


def test_a_send_that_waits_can_be_cancelled_and_learns_of_the_end():
    outcome = []

    async def handler(ws):
        async def flood():
            while True:
                await ws.send(bytes(20000))

        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(flood(), 0.3)
        waiting = asyncio.create_task(flood())
        await asyncio.sleep(0.1)
        outcome.append("waiting")
        with pytest.raises(wsbeat.ConnectionClosedError):
            await waiting
        outcome.append("told")

    async def main():
        async with wsbeat.serve(handler, "127.0.0.1", 0, max_queue_bytes=65536) as server:
            client = await in_thread(wsraw.connect, server.port, receive_buffer=4096)
            await until(lambda: outcome)
            client.abort()
            await until(lambda: len(outcome) == 2)

    run(main())


def test_a_slow_consumer_pauses_the_peer():
    """With max_queue 4 the client can push what kernel and queues hold, and no more until messages are taken."""
    taken, gate = [], None

    async def handler(ws):
        await gate.wait()
        async for message in ws:
            taken.append(message[0])

    def push(client, count):
        client.sock.settimeout(1.0)
        done = 0
        try:
            for number in range(count):
                client.send_binary(bytes([number % 256]) * 100000)
                done += 1
        except TimeoutError:
            pass
        return done

    async def main():
        nonlocal gate
        gate = asyncio.Event()
        async with wsbeat.serve(handler, "127.0.0.1", 0, max_queue=4) as server:
            client = await in_thread(wsraw.connect, server.port, timeout=1.0)
            pushed = await in_thread(push, client, 400)
            metrics = server.metrics()
            assert pushed < 400 and metrics["messages_in"] <= 4 + 4 + 1
            (ws,) = server.connections
            assert ws.info().paused
            gate.set()
            await until(lambda: len(taken) >= pushed)
            assert taken[:pushed] == [number % 256 for number in range(pushed)]
            client.close()

    run(main())


@pytest.mark.parametrize("block", ["sleep", "spin"])
def test_a_blocked_loop_kills_nobody_and_hides_nobody(block):
    """Handlers hold the loop (and, spinning, the interpreter) while clients answer their heartbeat elsewhere: in another process."""
    import subprocess
    crowd = subprocess.Popen([sys.executable, "-c", CROWD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    ended, blocked_for = [], 2.0

    async def handler(ws):
        await ws.wait_closed()
        ended.append(ws)

    async def main():
        async with wsbeat.serve(handler, "127.0.0.1", 0, heartbeat=wsbeat.Heartbeat(0.5, 0.25)) as server:
            crowd.stdin.write(f"{server.port}\n")
            crowd.stdin.flush()
            assert await in_thread(crowd.stdout.readline) == "open\n"
            await until(lambda: len(server.connections) == 30)
            crowd.stdin.write("mute\n")
            crowd.stdin.flush()
            assert await in_thread(crowd.stdout.readline) == "mute\n"
            started = time.monotonic()
            if block == "sleep":
                time.sleep(blocked_for)
            else:
                while time.monotonic() < started + blocked_for:
                    pass
            assert server.metrics()["closed_by_cause"]["heartbeat_timeout"] == 10  # found meanwhile, nobody else
            await until(lambda: len(ended) == 10)
            assert {ws.close_info.cause for ws in ended} == {"heartbeat_timeout"} and {ws.path for ws in ended} == {"/muted"}
            assert len(server.connections) == 20

    try:
        run(main())
    finally:
        crowd.kill()
        crowd.communicate()


CROWD = """
import asyncio, sys
from websockets.client import connect

async def main():
    port = int(sys.stdin.readline())
    clients = [await connect(f"ws://127.0.0.1:{port}/{'muted' if i < 10 else ''}", ping_interval=None) for i in range(30)]
    print("open", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    for client in clients[:10]:
        client.transport.pause_reading()
    print("mute", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_a_thousand_connections():
    async def main():
        async with wsbeat.serve(echo, "127.0.0.1", 0, backlog=2048) as server:
            clients = await in_thread(lambda: [wsraw.connect(server.port) for _ in range(1000)])
            await until(lambda: len(server.connections) == 1000)
            assert wsbeat.broadcast(server.connections, "all") == 1000

            def talk():
                for client in clients:
                    client.send_text("one")
                return [(client.recv_text(), client.recv_text()) for client in clients]

            assert await in_thread(talk) == [("all", "one")] * 1000
            await in_thread(lambda: [client.close() for client in clients])
            await until(lambda: not server.connections)
            assert server.metrics()["closed"] == 1000

    run(main())


def test_memory_stays_over_200000_messages(start):
    server = plain_server()
    start(server)
    with wsraw.connect(server.port) as client:
        frames = wsraw.build_frame(wsraw.TEXT, b"0123456789" * 6 + b"abcd") * 500
        size = len(frames) // 500 - 4  # what comes back is not masked

        def exchange(rounds):
            for _ in range(rounds):
                client.send_raw(frames)
                client.recv_exact(size * 500)

        exchange(100)
        gc.collect()
        before, objects = resident_bytes(), len(gc.get_objects())
        exchange(400)
        gc.collect()
        assert resident_bytes() - before < 4 << 20 and abs(len(gc.get_objects()) - objects) < 500


def test_memory_stays_over_20000_connections():
    async def handler(ws):
        async for message in ws:
            await ws.send(message)
            return

    def one(port):
        with wsraw.open_socket(port) as sock:
            sock.sendall(REQUEST + wsraw.build_frame(wsraw.TEXT, b"x") + wsraw.build_frame(wsraw.CLOSE, b"\x03\xe8"))
            while sock.recv(4096):
                pass

    def many(port, count):
        for _ in range(count):
            one(port)

    async def main():
        none = sys.getrefcount(None)
        async with wsbeat.serve(handler, "127.0.0.1", 0) as server:
            await in_thread(many, server.port, 2000)
            await until(lambda: not server.connections)
            gc.collect()
            before, objects, references = resident_bytes(), len(gc.get_objects()), sys.getrefcount(None)
            await in_thread(many, server.port, 18000)
            await until(lambda: not server.connections)
            gc.collect()
            assert server.metrics()["closed"] == server.metrics()["opened"] == 20000
            assert resident_bytes() - before < 6 << 20 and abs(len(gc.get_objects()) - objects) < 500
            assert abs(sys.getrefcount(None) - references) < 500 and none > 0

    run(main(), 80)


REQUEST = wsraw.request_bytes("/", "127.0.0.1", key=wsraw.new_key())


def test_servers_are_collected_in_any_order():
    import weakref

    def make():
        server = plain_server()
        server.start()
        client = wsraw.connect(server.port)
        while not server.connections:
            time.sleep(0.001)
        return server, server.connections[0], client

    server, conn, client = make()
    reference = weakref.ref(conn)
    server.stop(deadline=0.05)
    del server
    gc.collect()
    with pytest.raises(wsbeat.WsbeatError):
        conn.send("x")
    del conn
    gc.collect()
    assert reference() is None
    client.close()

    unstarted = wsbeat.Server(port=0)
    reference = weakref.ref(unstarted._engine) if hasattr(type(unstarted._engine), "__weakrefoffset__") else None
    del unstarted
    gc.collect()
    assert reference is None or reference() is None


def test_a_server_that_nobody_stops_is_collected():
    import threading
    before = threading.active_count()

    async def main():
        server = await wsbeat.serve(echo, "127.0.0.1", 0)
        client = await connect(server)
        await until(lambda: server.connections)
        asyncio.get_running_loop().remove_reader(server._engine.event_fd())
        return client

    client = run(main())
    gc.collect()
    data, how = client.recv_all()
    assert how in ("fin", "reset") or data
    assert threading.active_count() <= before + 5
