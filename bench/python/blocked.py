#!/usr/bin/env python3
"""A server whose event loop sleeps while clients in another process answer pings, or stop to. Prints: healthy clients lost, muted ones found by
the library, seconds until the last of them was found, and how many Python was told of. usage: blocked.py SECONDS HEALTHY MUTED"""

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path

import wsbeat

CROWD = """
import sys
sys.path.insert(0, sys.argv[1])
from crowd import Crowd
port, healthy, muted = map(int, sys.argv[2:])
with Crowd(port, name="healthy") as good, Crowd(port, name="muted") as bad:
    bad.open(muted)
    good.open(healthy)
    good.run(0.1)
    print("muted", flush=True)
    good.run(60)
"""


async def main(seconds, healthy, muted):
    ended = []

    async def handler(ws):
        await ws.wait_closed()
        ended.append(ws)

    async with wsbeat.serve(handler, "127.0.0.1", 0, heartbeat=1.0) as server:
        support = Path(__file__).resolve().parent.parent.parent / "tests" / "support"
        crowd = subprocess.Popen([sys.executable, "-c", CROWD, support, str(server.port), str(healthy), str(muted)], stdout=subprocess.PIPE)
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, crowd.stdout.readline)
            while len(server.connections) < healthy + muted:
                await asyncio.sleep(0.01)
            found = []
            stop = threading.Event()

            def watch():
                """Beside the loop: the library's own count."""
                started = time.monotonic()
                while not stop.wait(0.01) and len(found) < muted:
                    now = server.metrics()["closed_by_cause"]["heartbeat_timeout"]
                    found.extend([time.monotonic() - started] * (now - len(found)))

            watcher = threading.Thread(target=watch)
            watcher.start()
            time.sleep(seconds)  # the loop is blocked
            stop.set()
            watcher.join()
            counts = server.metrics()
            while len(ended) < counts["closed"]:
                await asyncio.sleep(0.01)
            dead = sum(ws.close_info.cause == "heartbeat_timeout" for ws in ended)
            print(counts["closed"] - len(found), len(found), max(found, default=0.0), dead)
        finally:
            crowd.kill()
            crowd.wait()


asyncio.run(main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
