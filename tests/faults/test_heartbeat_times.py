"""Heartbeat by the clock: muted connections among healthy ones, and a process that was stopped and went on."""

import contextlib
import os
import signal
import time

from crowd import Crowd, run_together
from endings import MUTE, check_end, check_open

FLAGS = ["--heartbeat-ms", "1000", "--heartbeat-timeout-ms", "500"]
EARLIEST_S, LATEST_S = 0.5, 1.6


def test_200_muted_beside_200_healthy(start_server):
    server = start_server(*FLAGS)
    with Crowd(server.port) as crowd:
        crowd.open(400)
        conns = crowd.conns(server)
        crowd.run(2.5)
        check_open(server, *conns)
        muted, healthy = crowd.members[0::2], crowd.members[1::2]
        crowd.mute(muted)
        crowd.run(LATEST_S + 0.4)
        assert sum(event["event"] == "close" for event in server.events) == 200
        delays = [check_end(server, conn, MUTE, timeout=0.1) - member.muted_at for member, conn in zip(muted, conns[0::2])]
        assert EARLIEST_S <= min(delays) and max(delays) <= LATEST_S, (min(delays), max(delays))
        # Phases are spread over the interval, so the ends are too.
        assert max(delays) - min(delays) > 0.7
        crowd.run(2.0)
        assert all(member.state == "open" for member in healthy)
        assert all(member.pings >= 5 for member in healthy)
        check_open(server, *conns[1::2])


def test_pings_come_once_an_interval_and_spread(start_server):
    """Also with an interval so long that pings of nearly the same moment fall together."""
    intervals = (1.0, 3.0)
    with contextlib.ExitStack() as stack:
        servers = [start_server("--heartbeat-ms", int(1000 * interval), "--heartbeat-timeout-ms", "500") for interval in intervals]
        crowds = [stack.enter_context(Crowd(server.port)) for server in servers]
        for crowd in crowds:
            crowd.open(100)
        run_together(crowds, 6.0)
        for interval, server, crowd in zip(intervals, servers, crowds):
            pings = sorted(member.pings for member in crowd.members)
            assert abs(pings[0] - 6.0 / interval) <= 1 and abs(pings[-1] - 6.0 / interval) <= 1, pings
            times = [at % interval / interval for at, event in zip(server.times, server.events) if event["event"] == "pong"]
            shares = [sum(tenth <= 10 * at < tenth + 1 for at in times) / len(times) for tenth in range(10)]
            assert min(shares) > 0.03 and max(shares) < 0.3, shares


def wait_until_stopped(pid):
    while True:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            if file.read().rsplit(")", 1)[1].split()[0] == "T":
                return
        time.sleep(0.01)


def test_stopped_and_continued(start_server):
    """A laptop's sleep, a debugger: longer than interval and timeout together. The healthy are not blamed for it; the mute still is."""
    server = start_server(*FLAGS)
    with Crowd(server.port) as crowd:
        crowd.open(100)
        conns = crowd.conns(server)
        crowd.run(1.2)
        for _ in range(2):
            os.kill(server.pid, signal.SIGSTOP)
            wait_until_stopped(server.pid)
            crowd.run(2.5)
            os.kill(server.pid, signal.SIGCONT)
            crowd.run(2.0)
            check_open(server, *conns)
        os.kill(server.pid, signal.SIGSTOP)
        wait_until_stopped(server.pid)
        muted = crowd.members[:50]
        crowd.mute(muted)
        crowd.run(2.0)
        continued = time.monotonic()
        os.kill(server.pid, signal.SIGCONT)
        crowd.run(LATEST_S + 0.6)
        for conn in conns[:50]:
            # A ping that waited for its answer at the stop has the rest of its time left.
            assert 0 < check_end(server, conn, MUTE, timeout=0.1) - continued < LATEST_S + 0.3
        check_open(server, *conns[50:])
        assert all(member.state == "open" for member in crowd.members[50:])


def test_stalls_while_pings_are_out(start_server):
    """Short stops, again and again: some pings always wait for answers that lie unread in the kernel."""
    server = start_server("--heartbeat-ms", "300", "--heartbeat-timeout-ms", "100")
    with Crowd(server.port) as crowd:
        crowd.open(100)
        conns = crowd.conns(server)
        for _ in range(10):
            crowd.run(0.35)
            os.kill(server.pid, signal.SIGSTOP)
            wait_until_stopped(server.pid)
            crowd.run(0.25)
            os.kill(server.pid, signal.SIGCONT)
        crowd.run(0.5)
        check_open(server, *conns)
        assert all(member.state == "open" for member in crowd.members)
