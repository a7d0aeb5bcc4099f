"""No descriptors left (EMFILE): who is served goes on being served, the process waits quietly, and serves the others when it can."""

from crowd import Crowd
from endings import check_open
from wsraw import TEXT

LIMIT = 64
WANTED = 90


def test_out_of_descriptors_and_back(start_server):
    server = start_server("--heartbeat-ms", "off", "--handshake-timeout-ms", "60000", prefix=["prlimit", f"--nofile={LIMIT}:{LIMIT}"])
    # All that comes later has been seen once: the undefined behaviour sanitizer needs a descriptor to look at a class that is new to it.
    with Crowd(server.port, name="early") as early:
        early.open(2)
        early.members[0].send(TEXT, b"early")
        assert early.run(10.0, until=lambda: early.members[0].messages == 1)
        early.leave(early.members, "close")
        assert early.run(10.0, until=lambda: all(member.ended for member in early.members))
    with Crowd(server.port) as crowd, server.connect() as old:
        members = crowd.start(WANTED)
        crowd.run(1.0)
        served = [member for member in members if member.state == "open"]
        waiting = [member for member in members if member.state == "connecting"]
        assert len(served) + len(waiting) == WANTED
        assert len(waiting) > WANTED - LIMIT and len(served) > LIMIT // 3

        before = server.cpu_seconds()
        crowd.run(2.0)
        assert server.cpu_seconds() - before < 0.1, "waiting for descriptors must not spin"
        old.send_text("still served")
        assert old.recv_text() == "still served"
        check_open(server, *crowd.conns(server, served))

        crowd.leave(served[:20], "close")
        crowd.run(5.0, until=lambda: sum(member.state == "open" for member in waiting) >= 20)
        assert sum(member.state == "open" for member in waiting) == 20

        crowd.leave([member for member in members if member.state == "open"], "close")
        crowd.run(10.0, until=lambda: all(member.state != "connecting" for member in members))
        assert all(member.status == 101 for member in members)
