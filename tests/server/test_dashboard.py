"""The dashboard's feed: what watchers are told, how often, how much, and that nothing happens while nobody watches."""

import json
import os
import threading
import time
from pathlib import Path

import pytest
import wsraw
from crowd import Crowd, raise_descriptor_limit

PATH = "/api/dashboard"
SECRET = "d4sh-b0ard"
ROWS = 100  # of connections in one update
KEPT_ENDS = 100
BETWEEN_UPDATES_MS = 500


def watch(server, path=PATH, **options):
    return server.connect(path, **options)


def operate(server):
    return watch(server, f"{PATH}?dashboard_token={SECRET}")


def next_of(client, kind):
    while True:
        message = json.loads(client.recv_text())
        if message["type"] == kind:
            return message


def update_that(client, fits):
    """The first update that fits; every one until then comes within the client's patience."""
    for _ in range(40):
        update = next_of(client, "update")
        if fits(update):
            return update
    raise AssertionError(f"no such update; the last: {update}")


def dashboard_thread(server):
    """/proc folder of the thread that sends updates, or None."""
    for task in Path(f"/proc/{server.pid}/task").iterdir():
        if (task / "comm").read_text().strip() == "dashboard":
            return task
    return None


def wakes_of(task):
    lines = (task / "status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


# ------------------------------------------------------------------------------------------------------------ what is told


def test_an_update_tells_of_connections(start_server):
    server = start_server("--subprotocols", "v2.0", "--heartbeat-ms", "1000", "--max-queue-bytes", "1048576")
    client, opened = server.connect_open("/seen?secret=1", subprotocols=["v2.0"])
    watcher = watch(server)
    update = update_that(watcher, lambda update: update["connections"])
    [row] = update["connections"]
    assert (row["conn"], row["path"], row["subprotocol"], row["peer"], row["state"]) == (opened["conn"], "/seen", "v2.0", "127.0.0.1", "open")
    assert row["heartbeat_interval_ms"] == 1000 and row["heartbeat_due_us"] <= 1000000
    assert row["peer_port"] == client.sock.getsockname()[1]
    assert (update["open"], update["looked_at"], update["watching"], update["order"]) == (1, 1, 1, "attention")
    assert update["max_queue_bytes"] == 1048576
    assert "secret" not in json.dumps(update), "a query may carry tokens"
    ping = client.recv_frame()
    assert ping.opcode == wsraw.PING
    client.send_frame(wsraw.PONG, ping.payload)
    [row] = update_that(watcher, lambda update: update["connections"][0]["pongs_received"] == 1)["connections"]
    assert row["rtt_last_us"] > 0 and row["rtt_min_us"] == row["rtt_last_us"]
    assert not row["heartbeat_waiting"]


def test_ends_are_told_once_with_cause_and_code(start_server):
    server = start_server()
    first, _ = server.connect_open("/first")
    first.finish(4001, "before anyone watched")
    server.wait_event("close")
    watcher = watch(server)
    update = update_that(watcher, lambda update: update["ends"])
    [end] = update["ends"]
    assert (end["path"], end["code"], end["reason"], end["cause"], end["clean"]) == ("/first", 4001, "before anyone watched", "peer_close", True)
    assert abs(end["at_ms"] / 1000 - time.time()) < 60
    second, _ = server.connect_open("/second")
    second.send_raw(b"\x81\x05hello")  # not masked
    update = update_that(watcher, lambda update: update["ends"])
    [end] = update["ends"]
    assert (end["number"], end["path"], end["code"], end["code_sent"], end["cause"]) == (2, "/second", 1006, 1002, "protocol_error")
    assert update["totals"] == [{"cause": "peer_close", "code": 4001, "count": 1}, {"cause": "protocol_error", "code": 1006, "count": 1}]
    assert (update["opened"], update["closed"], update["closed_clean"]) == (2, 2, 1)
    assert next_of(watcher, "update")["ends"] == []
    assert [end["number"] for end in next_of(watch(server), "update")["ends"]] == [1, 2], "each watcher hears all that is kept"


def test_texts_of_clients_are_cut_and_stay_json(start_server):
    server = start_server()
    path = "/%22<script>\\\"" + "x" * 4000
    client, _ = server.connect_open(path)
    watcher = watch(server)
    [row] = next_of(watcher, "update")["connections"]
    assert row["path"] == path[:120] + "…"
    client.finish(1000, "ü" * 61)
    [end] = update_that(watcher, lambda update: update["ends"])["ends"]
    assert end["reason"] == "ü" * 60 + "…", "not inside a character"


def test_totals_are_bounded(start_server):
    server = start_server()
    for code in range(4000, 4080):
        with server.connect() as client:
            client.finish(code, "")
    server.wait_events("close", 80)
    update = next_of(watch(server), "update")
    totals = {total["code"]: total["count"] for total in update["totals"]}
    assert len(totals) == 65 and totals[0] == 16, "the rest of the cause is one number"
    assert sum(totals.values()) == 80


@pytest.mark.parametrize("order,first", [("newest", "/c"), ("oldest", "/a"), ("queue", "/b"), ("attention", "/b"), ("silent", "/a")])
def test_orders(start_server, order, first):
    server = start_server("--commands", "--heartbeat-ms", "off")
    clients = [server.connect_open(path)[0] for path in ("/a", "/b", "/c")]
    clients[1].send_text("/flood 2000 1000")
    clients[2].send_text("said")
    assert clients[2].recv_text() == "said"
    watcher = watch(server)
    watcher.send_text(f"order {order}")
    update = update_that(watcher, lambda update: update["order"] == order and any(row["buffered_bytes"] for row in update["connections"]))
    assert update["connections"][0]["path"] == first


def test_the_slowest_round_trip_first(start_server):
    server = start_server("--heartbeat-ms", "2000")
    clients = [server.connect_open(path)[0] for path in ("/slow", "/quick")]
    watcher = watch(server)
    watcher.send_text("order round-trip")

    def answer(client, pause_s):
        ping = client.recv_frame()
        time.sleep(pause_s)
        client.send_frame(wsraw.PONG, ping.payload)

    threads = [threading.Thread(target=answer, args=task) for task in zip(clients, (0.05, 0))]
    for thread in threads:
        thread.start()
    update = update_that(watcher, lambda update: len([row for row in update["connections"] if row["rtt_last_us"]]) == 2)
    for thread in threads:
        thread.join()
    assert [row["path"] for row in update["connections"]] == ["/slow", "/quick"]
    assert update["connections"][0]["rtt_last_us"] >= 50000


# --------------------------------------------------------------------------------------------------- how often and how much


def test_at_most_two_updates_a_second(start_server):
    """By the server's own clock, and also right after a watcher came anew or asked for another order."""
    server = start_server()
    server.connect()
    times = []
    for _ in range(2):
        with watch(server) as watcher:
            for order in ("newest", "oldest", "queue"):
                watcher.send_text(f"order {order}")
                times.append(next_of(watcher, "update")["uptime_ms"])
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    assert min(gaps) >= BETWEEN_UPDATES_MS - 1, times  # each is cut to whole milliseconds
    assert min(gaps) < 4 * BETWEEN_UPDATES_MS, "and they do come"


def test_nothing_happens_while_nobody_watches(start_server):
    server = start_server()
    client, _ = server.connect_open()
    assert dashboard_thread(server) is None, "no thread before the first watcher"
    watcher = watch(server)
    next_of(watcher, "update")
    task = dashboard_thread(server)
    assert task is not None
    watched = wakes_of(task)
    next_of(watcher, "update")
    next_of(watcher, "update")
    assert wakes_of(task) > watched, "this counter does see updates"
    watcher.finish()
    assert json.loads(server.http("/api/connections").body)["total"] == 1
    deadline = time.monotonic() + 10
    before = wakes_of(task)
    while True:  # its last turn may still be going on
        time.sleep(2.5 * BETWEEN_UPDATES_MS / 1000)
        after = wakes_of(task)
        if after == before:
            break
        assert time.monotonic() < deadline, "it goes on waking"
        before = after
    client.finish()
    server.wait_event("close")
    assert wakes_of(task) == before, "ends wake nobody either"


def test_who_does_not_read_misses_updates(start_server):
    """Nothing piles up for it, and others hear on."""
    server = start_server("--heartbeat-ms", "off")
    with Crowd(server.port) as crowd:
        crowd.open(ROWS)
        mute = watch(server, receive_buffer=2048)
        other = watch(server)
        for _ in range(6):
            update = next_of(other, "update")
        assert update["watching"] == 2
        assert server.metrics()["wsbeat_queue_bytes"] < 3 * len(json.dumps(update))
        assert next_of(mute, "update")["type"] == "update"


def test_nine_thousand_connections(start_server):
    """An update stays small, costs little, and tells of how many it does not."""
    raise_descriptor_limit(20000)
    server = start_server("--heartbeat-ms", "off", "--workers", "2")
    with Crowd(server.port, sources=("127.0.0.2", "127.0.0.3")) as crowd:
        crowd.open(9000)
        watcher = watch(server)
        update_that(watcher, lambda update: update["looked_at"] == 9000)
        cpu, began = server.cpu_seconds(), time.monotonic()
        for _ in range(5):
            text = watcher.recv_text()
        seconds = time.monotonic() - began
        assert (server.cpu_seconds() - cpu) / seconds < 0.25, "of one processor"
        update = json.loads(text)
        assert (update["open"], len(update["connections"])) == (9000, ROWS)
        assert len(text) < 100000
        crowd.leave(crowd.members, "reset")
        ended = []
        missed = 0
        while len(ended) + missed < 9000:
            update = next_of(watcher, "update")
            assert len(update["ends"]) <= KEPT_ENDS
            ended += update["ends"]
            missed += update["ends_missed"]
        assert len(ended) + missed == 9000
        assert sum(total["count"] for total in update["totals"]) == 9000


# ---------------------------------------------------------------------------------------------------- watchers are not clients


def test_watchers_are_left_out(start_server):
    server = start_server("--mode", "broadcast")
    client, _ = server.connect_open("/app")
    watcher = watch(server)
    assert json.loads(server.http("/api/connections").body)["total"] == 1
    assert [entry["path"] for entry in json.loads(server.http("/api/connections").body)["connections"]] == ["/app"]
    client.send_text("to everyone")
    assert client.recv_text() == "to everyone"
    update = update_that(watcher, lambda update: update["messages_in"] == 1)
    assert (update["open"], update["opened"], update["messages_out"]) == (1, 1, 1)
    watcher.send_text("not echoed")
    assert "understood" in next_of(watcher, "error")["text"]
    watcher.send_binary(b"order newest")
    assert "understood" in next_of(watcher, "error")["text"]
    watcher.send_text("order loudest")
    assert next_of(watcher, "error")["text"] == "no such order"
    watcher.finish()
    again = watch(server)
    update = next_of(again, "update")
    assert (update["opened"], update["closed"], update["ends"]) == (1, 0, [])
    assert [event["event"] for event in server.events] == ["listening", "open"]
    assert server.metrics()["wsbeat_connections"] == 2, "the library counts every WebSocket"


def test_only_so_many_watch(start_server):
    server = start_server()
    watchers = [watch(server) for _ in range(8)]
    ninth = watch(server)
    assert ninth.recv_close() == (1013, "too many dashboards are open")
    ninth.send_close(1013)
    update = update_that(watchers[0], lambda update: update["watching"] == 8)
    assert (update["open"], update["connections"]) == (0, [])


def test_an_update_that_can_never_fit_ends_the_watcher(start_server):
    server = start_server("--max-message-bytes", "100", "--max-queue-bytes", "1024")
    for _ in range(5):
        server.connect("/" + "x" * 100)
    server.wait_events("open", 5)
    assert watch(server).recv_close() == (1009, "an update does not fit --max-queue-bytes")


def test_stopping_with_a_watcher(start_server):
    server = start_server("--stop-deadline-ms", "3000")
    watcher = watch(server)
    next_of(watcher, "update")
    server.process.terminate()
    with pytest.raises(wsraw.ConnectionEnded):
        while True:
            watcher.recv_message()
    watcher.send_close(1001)
    assert server.wait() == 0


def test_watching_where_clients_must_authenticate_or_offer(start_server):
    server = start_server("--auth-timeout-ms", "300", "--require-subprotocol", "--subprotocols", "v2.0,v1.0")
    may = json.loads(server.http(PATH).body)
    assert may == {"may_close": False, "subprotocols": "v2.0,v1.0"}
    watcher = watch(server, subprotocols=["v2.0", "v1.0"])
    for _ in range(3):
        next_of(watcher, "update")


# ------------------------------------------------------------------------------------------------------------------- operating


def test_closing_a_connection(start_server):
    server = start_server("--dashboard-token", SECRET)
    client, opened = server.connect_open()
    operator = operate(server)
    operator.send_text(f"close {opened['conn']} 4005 by hand ü")
    assert client.recv_close() == (4005, "by hand ü")
    assert next_of(operator, "note")["text"] == f"closing connection {opened['conn']} with 4005"
    operator.send_text(f"close {opened['conn']} 1000")
    assert "closing already" in next_of(operator, "error")["text"]
    client.send_close(4005)
    assert server.wait_event("close")["cause"] == "local_close"
    assert f"closing connection {opened['conn']} with 4005" in server.wait_stderr("dashboard:")


@pytest.mark.parametrize("order,answer", [
    ("close", "usage"),
    ("close x 1000", "usage"),
    ("close 1", "usage"),
    ("close 1 70000", "usage"),
    ("close 1 -1", "usage"),
    ("close {conn} 1006", "may not be sent"),
    ("close {conn} 1000 " + "r" * 124, "longer than 123"),
    ("close 1 1000", "not there"),
    ("close 18446744073709551615 1000", "not there"),
    ("close 18446744073709551616 1000", "usage"),
])
def test_a_wrong_order_closes_nothing(start_server, order, answer):
    server = start_server("--dashboard-token", SECRET)
    client, opened = server.connect_open()
    operator = operate(server)
    operator.send_text(order.format(conn=opened["conn"]))
    assert answer in next_of(operator, "error")["text"]
    assert client.command("still here") == "still here"


def test_watchers_cannot_be_closed_nor_close(start_server):
    server = start_server()
    client, opened = server.connect_open()
    watcher = watch(server)
    watcher.send_text(f"close {opened['conn']} 1000")
    assert next_of(watcher, "error")["text"] == "closing connections needs --dashboard-token"
    assert client.command("still here") == "still here"
    with_token = start_server("--dashboard-token", SECRET)
    operator, _ = operate(with_token), operate(with_token)
    for worker_and_slot in range(4294967296, 4294967300):
        operator.send_text(f"close {worker_and_slot} 1000")
        assert "not there" in next_of(operator, "error")["text"]
    assert os.path.exists(f"/proc/{server.pid}")


def test_watchers_come_and_go_while_connections_do(start_server):
    """On four workers, with operators that close what they see: sanitizer builds check what is shared."""
    server = start_server("--dashboard-token", SECRET, "--workers", "4", "--mode", "broadcast")
    failures = []

    def repeat(body, times):
        try:
            for _ in range(times):
                body()
        except Exception as error:  # told by the main thread
            failures.append(error)

    def talk():
        with server.connect("/talk") as client:
            client.send_text("hello")
            try:
                client.recv_message()
                client.finish()
            except wsraw.ConnectionEnded:
                client.send_close(4000)  # an operator was quicker

    def close_what_is_seen():
        with operate(server) as operator:
            for row in next_of(operator, "update")["connections"]:
                operator.send_text(f"close {row['conn']} 4000 seen")
            operator.finish()

    def look():
        server.http(PATH)
        assert json.loads(server.http(f"/api/connections?token={SECRET}").body)["total"] >= 0

    plan = [(talk, 40)] * 3 + [(close_what_is_seen, 6)] * 2 + [(look, 20)]
    threads = [threading.Thread(target=repeat, args=task) for task in plan]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    server.wait_events("close", 120)
    ends = update_that(operate(server), lambda update: update["closed"] == 120)
    assert ends["opened"] == 120 and sum(total["count"] for total in ends["totals"]) == 120
    assert server.stop() == 0
    assert len([event for event in server.events if event["event"] == "open"]) == 120
