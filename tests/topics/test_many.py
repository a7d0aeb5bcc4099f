"""Numbers: many topics, many connections, and what is left of them in memory."""

import re

from topics import SUBPROTOCOL, TopicClient

TOPICS = 10000
ROUNDS = 2


def memory_kib(server):
    with open(f"/proc/{server.pid}/status", encoding="ascii") as status:
        return int(re.search(r"^VmRSS:\s+(\d+)", status.read(), re.M)[1])


def metric(server, name):
    return int(re.search(rf"^{name} (\d+)$", server.http("/metrics").body.decode(), re.M)[1])


def batch(client, kind, topics):
    for topic in topics:
        client.send(type=kind, topic=topic)
    client.request(type="publish", topic="nobody", data=0)  # answered when all that came before is done


def test_ten_thousand_topics_and_their_memory(start_server):
    server = start_server("--topics", "--max-topics", str(TOPICS), "--workers", "2")
    receivers = [TopicClient(server) for _ in range(4)]
    sender = TopicClient(server)
    names = [f"users.{number}.inbox" for number in range(TOPICS)]
    for client in receivers:  # what a first round needs once stays with the allocator
        batch(client, "subscribe", names)
        batch(client, "unsubscribe", names)
    before = memory_kib(server)
    for _ in range(ROUNDS):
        for client in receivers:
            batch(client, "subscribe", names)
        assert metric(server, "wsbeat_subscriptions") == 4 * TOPICS
        for number in range(0, TOPICS, 1000):
            assert sender.publish(names[number], number)["reached"] == 4
        assert sender.publish("users.none.inbox", 0)["reached"] == 0
        for client in receivers:
            assert [client.next_event()[1] for _ in range(0, TOPICS, 1000)] == list(range(0, TOPICS, 1000))
            batch(client, "unsubscribe", names)
        assert metric(server, "wsbeat_subscriptions") == 0
        assert memory_kib(server) < before + 4096


def test_a_thousand_receivers_get_each_event_once(start_server):
    server = start_server("--topics", "--workers", "2")
    clients = []
    for number in range(1000):
        client = server.connect(subprotocols=[SUBPROTOCOL])
        client.send_text('{"type":"subscribe","topic":"all.%s"}' % ("*" if number % 2 else ">"))
        clients.append(client)
    sender = TopicClient(server)
    while metric(server, "wsbeat_subscriptions") < 1000:
        pass
    for number in range(20):
        assert sender.publish("all.x", number) == {"type": "acknowledged", "reached": 1000, "refused": 0}
    for client in clients:
        assert [client.recv_text() for _ in range(20)] == ['{"type":"event","topic":"all.x","data":%d}' % number for number in range(20)]
        client.close()
