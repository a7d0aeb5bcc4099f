"""What is published on one server and received on another: each message once, in order, and nothing that nobody wants."""

import itertools
import json
import random

import pytest
from conftest import TopicClient, meet, settle, wait_until
from nats import RawNats, free_port, subscriptions
from topics import SUBPROTOCOL


def test_events_cross_once_and_in_order(start_nats, join):
    server = start_nats()
    here, there = join(server), join(server, "--workers", "2")
    sender, near, far = TopicClient(here), TopicClient(here), TopicClient(there)
    for client in (near, far):
        for pattern in ("meet", "x.*", "x.>", "x.1", "*.1"):  # overlapping: still once
            client.subscribe(pattern)
    meet([sender], [near, far])
    for number in range(1000):
        sender.send(type="publish", topic="x.1", data=number)
    for client in (near, far):
        assert [client.next_event() for _ in range(1000)] == [("x.1", number) for number in range(1000)]
        client.no_event()


def test_nothing_comes_back_to_its_origin(start_nats, join):
    server = start_nats()
    here, there = join(server), join(server)
    one, two = TopicClient(here), TopicClient(there)
    one.subscribe("meet")
    two.subscribe("meet")
    meet([one, two], [one, two])
    assert one.publish("meet", "mine", echo=False) == {"type": "acknowledged", "reached": 0, "refused": 0}
    assert two.next_event() == ("meet", "mine")
    two.publish("meet", "answer")
    assert one.next_event() == ("meet", "answer")
    one.no_event()


def test_kinds_and_retention_cross(start_nats, join):
    server = start_nats()
    here, there = join(server), join(server)
    sender, first = TopicClient(here), TopicClient(there)
    first.subscribe("state.*")
    first.subscribe("meet")
    meet([sender], [first])
    sender.publish("state.a", 1, retain=True)
    sender.publish("state.a", 2)
    assert [first.next_event(), first.next_event()] == [("state.a", 1), ("state.a", 2)]
    later = TopicClient(there)  # what its server has heard while somebody there listened
    later.subscribe("state.a")
    assert later.next_event() == ("state.a", 1)


def test_other_nats_clients_hear_and_speak(start_nats, join):
    server = start_nats()
    client = TopicClient(join(server))
    raw = RawNats(server.port)
    raw.subscribe("wsbeat.orders.>")
    client.publish("orders.17", {"state": "paid"})
    heard = raw.next_message()
    assert heard.subject == "wsbeat.orders.17"
    assert json.loads(heard.data) == {"type": "event", "topic": "orders.17", "data": {"state": "paid"}}
    assert " text\r\n" in heard.headers
    client.subscribe("news")
    text = '{"type":"event","topic":"news","data":"from outside"}'
    wait_until(lambda: not raw.publish("wsbeat.news", text.encode()) and _has_event(client))
    assert client.next_event() == ("news", "from outside")


def _has_event(client):
    try:
        client.events.append(client.receive(0.05))
    except TimeoutError:
        return False
    return True


def test_malformed_messages_of_others_are_dropped_and_counted(start_nats, join):
    server = start_nats()
    instance = join(server)
    client = TopicClient(instance)
    client.subscribe(">")
    raw = RawNats(server.port)
    client.request(type="publish", topic="x", data=0)
    client.next_event()
    received = lambda: int(instance.http("/metrics").body.decode().split("\nwsbeat_backplane_received_total ")[1].split("\n")[0])
    wait_until(lambda: not raw.publish("wsbeat.a", b"first") and received() > 0)
    before = received()
    for subject in ("wsbeat.a*b", "wsbeat." + 300 * "x", "wsbeat.\xe9"):
        raw.sock.sendall(b"PUB " + subject.encode("latin-1") + b" 1\r\nx\r\n")
    raw.publish("wsbeat.a", b"last")
    wait_until(lambda: received() >= before + 4)
    while (text := client.raw.recv_message()) != "last":
        assert text == "first"


def test_subscriptions_at_nats_are_counted_and_end(start_nats, join):
    monitor = free_port()
    server = start_nats("-m", monitor)
    instance = join(server, "--workers", "2", "--max-topics", "20000")
    clients = [TopicClient(instance) for _ in range(6)]
    for client in clients:
        for pattern in ("a.b", "a.*", ">"):
            client.subscribe(pattern)
    wait_until(lambda: subscriptions(monitor) == ["wsbeat.>", "wsbeat.a.*", "wsbeat.a.b"])
    for client in clients[:3]:
        client.unsubscribe("a.b")
    for client in clients[3:]:
        client.close()
    wait_until(lambda: subscriptions(monitor) == ["wsbeat.>", "wsbeat.a.*"])
    for client in clients[:3]:
        client.close()
    wait_until(lambda: subscriptions(monitor) == [])
    many = TopicClient(instance)
    for number in range(10000):
        many.send(type="subscribe", topic=f"users.{number}")
    wait_until(lambda: len(subscriptions(monitor)) == 10000, timeout=30)
    many.close()
    wait_until(lambda: subscriptions(monitor) == [], timeout=30)


def test_wildcards_match_as_nats_matches(start_nats, join):
    """Every pattern of one to three tokens, on this side of NATS, beyond it, and at NATS itself."""
    server = start_nats()
    here, there = join(server), join(server)
    names = [".".join(tokens) for length in (1, 2, 3) for tokens in itertools.product("ab*>", repeat=length)]
    patterns = [name for name in names if ">" not in name[:-1]]
    topics = [".".join(tokens) for length in (1, 2, 3, 4) for tokens in itertools.product("abc", repeat=length)]
    assert len(patterns) == 4 + 12 + 36
    raw = RawNats(server.port)
    clients = []
    for number, pattern in enumerate(patterns):
        raw.subscribe(f"wsbeat.{pattern}", number)
        for instance in (here, there):
            clients.append(TopicClient(instance))
            clients[-1].subscribe(pattern)
            clients[-1].subscribe("end.of.all.this")
    sender = TopicClient(here)
    meet([sender], clients, "end.of.all.this")
    raw.flush()
    raw.messages.clear()
    for topic in topics:
        sender.send(type="publish", topic=topic, data=None)
    sender.publish("end.of.all.this", None)
    at_nats = {number: [] for number in range(len(patterns))}
    wanted = sum(_matches(pattern, topic) for pattern in patterns for topic in topics)
    while wanted:
        message = raw.next_message()
        if message.subject != "wsbeat.end.of.all.this":
            at_nats[message.number].append(message.subject[len("wsbeat."):])
            wanted -= 1
    for number, client in enumerate(clients):
        got = []
        while (topic := client.next_event()[0]) != "end.of.all.this":
            got.append(topic)
        assert got == at_nats[number // 2], patterns[number // 2]


def _matches(pattern, topic):
    pattern, topic = pattern.split("."), topic.split(".")
    for at, token in enumerate(pattern):
        if token == ">":
            return len(topic) > at
        if at >= len(topic) or token not in ("*", topic[at]):
            return False
    return len(pattern) == len(topic)


@pytest.mark.parametrize("nodes", [1, 3])
def test_two_thousand_receivers_on_four_servers(start_nats, join, nodes):
    """Publications from everywhere reach everyone exactly once; those of one publisher in order."""
    servers = [start_nats()] if nodes == 1 else start_nats.cluster(nodes)
    instances = [join(servers[number % nodes]) for number in range(4)]
    receivers = []
    for number in range(2000):
        client = instances[number % 4].connect(subprotocols=[SUBPROTOCOL])
        client.send_text('{"type":"subscribe","topic":"%s"}' % random.choice(("all", "*", ">")))
        client.send_text('{"type":"subscribe","topic":"all","id":1}')
        receivers.append(client)
    for client in receivers:
        assert json.loads(client.recv_text())["type"] == "acknowledged"
    publishers = [TopicClient(instance) for instance in instances]
    watchers = [TopicClient(instance) for instance in instances]
    for watcher in watchers:
        watcher.subscribe("all")
    meet(publishers, watchers, "all")
    for number in range(20):
        for who, publisher in enumerate(publishers):
            publisher.send(type="publish", topic="all", data=[who, number])
    wanted = [[[who, number] for number in range(20)] for who in range(4)]
    for client in receivers:
        seen = [[], [], [], []]
        while sum(map(len, seen)) < 80:
            data = json.loads(client.recv_text())["data"]
            if isinstance(data, list):
                seen[data[0]].append(data)
        assert seen == wanted
    settle(publishers, watchers, "all")
    for client in receivers:  # nothing twice: what comes next are the marks
        assert sorted(json.loads(client.recv_text())["data"] for _ in range(4)) == [f"settled {number}" for number in range(4)]
        client.close()
