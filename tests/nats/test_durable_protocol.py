"""Durable topics and presence as clients of wsbeat.topics.v1 see them, on several servers with a real NATS: docs/topics.md."""

import signal

import pytest
from conftest import TopicClient, wait_until
from nats import RawNats

DONE = {"type": "acknowledged"}
DURABLE = ("--durable", "d.>")


@pytest.fixture
def jetstream(start_nats, tmp_path):
    return start_nats("-js", "-sd", tmp_path / "jetstream")


def stored(client, topic, data, **options):
    """Publishes and gives the sequence."""
    answer = client.publish(topic, data, **options)
    assert answer.keys() == {"type", "stored", "sequence"} and answer["stored"] is True, answer
    return answer["sequence"]


def position(client, pattern, **options):
    """Subscribes and gives the sequence of the acknowledgement."""
    answer = client.subscribe(pattern, **options)
    assert answer == DONE | {"sequence": answer["sequence"]}
    return answer["sequence"]


def reached(client, sequence):
    """Waits until the client's server, too, has got what is stored up to there: it comes to each a moment later."""
    wait_until(lambda: position(client, "d.nobody.publishes.this") >= sequence)
    client.unsubscribe("d.nobody.publishes.this")


def events(client, count):
    """So many events as (sequence, topic, data, replay)."""
    whole = [client.next_whole_event() for _ in range(count)]
    return [(event["sequence"], event["topic"], event["data"], event.get("replay")) for event in whole]


def test_a_client_goes_on_on_another_server(jetstream, join):
    here, there = join(jetstream, *DURABLE), join(jetstream, *DURABLE, "--workers", "2")
    sender, first = TopicClient(here), TopicClient(here)
    last = stored(sender, "d.0", "before")
    reached(first, last)
    assert position(first, "d.*") == last
    one = stored(sender, "d.1", {"n": 1})
    assert events(first, 1) == [(one, "d.1", {"n": 1}, None)]
    first.raw.finish()
    missed = [stored(sender, f"d.{number % 2}", number) for number in range(50)]
    stored(sender, "d.of.another.pattern", 0)
    second = TopicClient(there)
    reached(second, missed[-1])
    assert position(second, "d.*", after=one) >= missed[-1]
    live = stored(sender, "d.1", "live")
    wanted = [(sequence, f"d.{number % 2}", number, "d.*") for number, sequence in enumerate(missed)]
    assert events(second, 51) == [*wanted, (live, "d.1", "live", None)]
    second.no_event()
    assert events_of_all(there, [one, live]) == [one, live]


def events_of_all(instance, within):
    """What is kept from the first to the last of these, by its sequence."""
    client = TopicClient(instance)
    position(client, "d.>", after=0)
    sequences = [event["sequence"] for event in client.events]
    assert sequences == sorted(set(sequences))
    return [sequence for sequence in sequences if sequence in within]


def test_plain_topics_stay_plain(jetstream, join):
    client = TopicClient(join(jetstream, *DURABLE))
    assert client.subscribe("p.*") == client.subscribe("p.1", after=3) == DONE
    assert position(client, ">") == 0
    assert client.publish("p.1", 1) == DONE | {"reached": 1, "refused": 0}
    assert client.next_whole_event() == {"type": "event", "topic": "p.1", "data": 1}
    assert client.publish("p.1", 1, key="k")["code"] == "not_durable"
    sequence = stored(client, "d.1", 1)
    assert client.next_whole_event() == {"type": "event", "topic": "d.1", "data": 1, "sequence": sequence}


def test_a_key_is_stored_once_wherever_it_is_published(jetstream, join):
    here, there = TopicClient(join(jetstream, *DURABLE)), TopicClient(join(jetstream, *DURABLE))
    position(there, "d.>")
    first = stored(here, "d.1", "once", key="key-1")
    again = there.publish("d.1", "once", key="key-1")
    assert again["stored"] is True and again["duplicate"] is True and again["sequence"] in (0, first)
    last = stored(there, "d.1", "other", key="key-2")
    assert [event[:3] for event in events(there, 2)] == [(first, "d.1", "once"), (last, "d.1", "other")]
    there.no_event()


def test_publications_through_a_lost_connection(jetstream, join):
    """The connection is lost while publications are on their way; they are made again elsewhere, and each is there once."""
    here, there = join(jetstream, *DURABLE), join(jetstream, *DURABLE)
    receiver = TopicClient(there)
    position(receiver, "d.1")
    for round_ in range(10):
        lost, again = TopicClient(here), TopicClient(there)
        keys = [f"{round_}-{number}" for number in range(20)]
        for key in keys:
            lost.send(type="publish", topic="d.1", data=key, key=key, id=key)
        if round_ % 2:
            lost.receive()  # some are stored
        lost.raw.close()
        for key in keys:
            assert again.publish("d.1", key, key=key)["stored"] is True
        got = [event[2] for event in events(receiver, 20)]
        assert sorted(got) == sorted(keys)
        receiver.no_event()


def test_echo_is_left_out_when_it_comes_back(jetstream, join):
    here, there = TopicClient(join(jetstream, *DURABLE)), TopicClient(join(jetstream, *DURABLE))
    for client in (here, there):
        position(client, "d.1")
    first = stored(here, "d.1", "not to me", echo=False)
    second = stored(here, "d.1", "to all")
    assert [event[0] for event in events(there, 2)] == [first, second]
    assert [event[0] for event in events(here, 1)] == [second]


def test_two_patterns_resume_apart(jetstream, join):
    client = TopicClient(join(jetstream, *DURABLE))
    sequences = [stored(client, f"d.{number % 2}", number) for number in range(10)]
    reached(client, sequences[-1])
    client.send(type="subscribe", topic="d.*", after=sequences[3], id="wide")
    client.send(type="subscribe", topic="d.1", after=sequences[6], id="narrow")
    replayed, answers = [], {}
    while len(answers) < 2:
        message = client.receive()
        if message["type"] == "event":
            replayed.append((message["replay"], message["sequence"]))
        else:
            answers[message["id"]] = (message["sequence"], len([1 for replay, _ in replayed if replay == {"wide": "d.*", "narrow": "d.1"}[message["id"]]]))
    assert [sequence for replay, sequence in replayed if replay == "d.*"] == sequences[4:]
    assert [sequence for replay, sequence in replayed if replay == "d.1"] == [sequences[7], sequences[9]]
    assert answers == {"wide": (sequences[-1], 6), "narrow": (sequences[-1], 2)}, "each after its own replay"
    live = stored(client, "d.1", "live")
    assert events(client, 1) == [(live, "d.1", "live", None)]
    client.no_event()


def test_subscribing_again_answers_the_first_request_too(jetstream, join):
    client = TopicClient(join(jetstream, *DURABLE))
    last = [stored(client, "d.1", number) for number in range(300)][-1]
    reached(client, last)
    for identity in (1, 2):
        client.send(type="subscribe", topic="d.1", after=0, id=f"first {identity}")
        client.send(type="subscribe", topic="d.1", after=last - 5, id=f"second {identity}")
    client.send(type="subscribe", topic="d.*", after=0, id="third")
    client.send(type="unsubscribe", topic="d.*", id="fourth")
    answers = {}
    while len(answers) < 6:
        message = client.receive()
        if message["type"] != "event":
            assert message["id"] not in answers
            answers[message["id"]] = message.get("code", message["type"])
    assert answers["second 2"] == answers["fourth"] == "acknowledged"
    assert set(answers.values()) <= {"acknowledged", "failed"}
    client.no_event()


def test_what_is_not_kept_any_more_is_told(jetstream, join):
    client = TopicClient(join(jetstream, *DURABLE))
    sequences = [stored(client, "d.1", number) for number in range(5)]
    raw = RawNats(jetstream.port)
    raw.subscribe("_INBOX.purge")
    raw.sock.sendall(b"PUB $JS.API.STREAM.PURGE.wsbeat _INBOX.purge 0\r\n\r\n")
    assert b'"success":true' in raw.next_message().data
    restarted = TopicClient(join(jetstream, *DURABLE))
    after = stored(restarted, "d.1", "after")
    reached(restarted, after)
    assert restarted.subscribe("d.1", after=sequences[1]) == DONE | {"sequence": after, "missed": True}
    restarted.no_event()
    assert restarted.subscribe("d.1", after=after + 1000) == DONE | {"sequence": after, "missed": True}, "of another stream"


def test_others_may_publish_too(jetstream, join):
    """What NATS clients publish there is stored and numbered as well; what is no event of the protocol comes as it is."""
    client = TopicClient(join(jetstream, *DURABLE))
    position(client, "d.*")
    raw = RawNats(jetstream.port)
    raw.publish("wsbeat.d.1", b'{"type":"event","topic":"d.1","data":"from outside"}')
    (sequence, *rest), = events(client, 1)
    assert rest == ["d.1", "from outside", None]
    raw.publish("wsbeat.d.1", b"no JSON")
    assert client.raw.recv_text() == "no JSON"
    assert stored(client, "d.1", 1) == sequence + 2
    reached(client, sequence + 2)
    assert position(client, "d.1", after=sequence + 1) == sequence + 2


def test_a_slow_receiver_gets_everything(jetstream, join):
    """With the policy refuse a receiver that does not read falls behind and catches up: nothing is lost, doubled or out of order."""
    here, there = join(jetstream, *DURABLE), join(jetstream, *DURABLE, "--max-queue-bytes", "262144", "--slow-consumer", "refuse")
    sender = TopicClient(here)
    slow = TopicClient(there, receive_buffer=4096)
    for pattern in ("d.*", "d.1"):
        position(slow, pattern)
    text = 12000 * "x"
    sequences = [stored(sender, f"d.{number % 3}", [number, text]) for number in range(600)]
    wanted = list(zip(sequences, range(600)))
    patterns = {"d.*": wanted, "d.1": [(sequence, number) for sequence, number in wanted if number % 3 == 1]}
    seen = {pattern: [] for pattern in patterns}
    while any(len(seen[pattern]) < len(patterns[pattern]) for pattern in patterns):
        event = slow.next_whole_event()
        # As clients are told to: each pattern has its position, and what is not above it has been seen.
        for pattern, got in seen.items():
            matching = event.get("replay", pattern) == pattern and pattern in ("d.*", event["topic"])
            if matching and (not got or event["sequence"] > got[-1][0]):
                got.append((event["sequence"], event["data"][0]))
    assert seen == patterns
    assert there.metrics()["wsbeat_replayed_total"] > 100, "it did fall behind"


def test_answers_wait_for_a_full_queue(jetstream, join):
    """Acknowledgements of what is stored come later, and none is lost when the client has not read for a while."""
    instance = join(jetstream, *DURABLE, "--max-queue-bytes", "1024")
    client = TopicClient(instance, receive_buffer=4096)
    for number in range(3000):
        client.send(type="publish", topic="d.1", data=number, id=number)
    answers = [client.receive() for _ in range(3000)]
    assert [answer["id"] for answer in answers] == list(range(3000))
    assert all(answer["stored"] for answer in answers)


def test_presence_across_servers(jetstream, join):
    here, there = join(jetstream), join(jetstream)
    alice, bob, watcher = TopicClient(here), TopicClient(there), TopicClient(there)
    for client, name in ((alice, "alice \u20ac . * >"), (bob, "bob")):
        assert client.request(type="join", topic="rooms.1", member=name) == DONE
    there_now = set(watcher.request(type="watch", topic="rooms.1")["members"])
    while len(there_now) < 2:  # those elsewhere follow
        name, present = watcher.next_presence()
        assert present
        there_now.add(name)
    assert there_now == {"alice \u20ac . * >", "bob"}
    third = TopicClient(here)
    third.request(type="join", topic="rooms.1", member="bob")
    third.request(type="join", topic="rooms.1", member="carol")
    assert watcher.next_presence() == ("carol", True), "bob was there and stays"
    bob.raw.finish()
    assert watcher.next_presence() == ("bob", False)
    third.request(type="leave", topic="rooms.1")
    assert watcher.next_presence() == ("carol", False)


def test_presence_when_a_server_is_killed(jetstream, join):
    ttl = ("--presence-ttl-ms", "1000")
    dies, stays = join(jetstream, *ttl), join(jetstream, *ttl)
    members, watcher = [TopicClient(dies) for _ in range(5)], TopicClient(stays)
    watcher.request(type="watch", topic="room")
    for number, client in enumerate(members):
        client.request(type="join", topic="room", member=f"member {number}")
    survivor = TopicClient(stays)
    survivor.request(type="join", topic="room", member="member 0")
    came = {watcher.next_presence() for _ in range(5)}
    assert came == {(f"member {number}", True) for number in range(5)}
    dies.process.send_signal(signal.SIGKILL)
    gone = {watcher.next_presence() for _ in range(4)}
    assert gone == {(f"member {number}", False) for number in range(1, 5)}, "who is on another server too stays"
    later = TopicClient(join(jetstream, *ttl))
    found = set(later.request(type="watch", topic="room")["members"])
    while not found:
        name, present = later.next_presence()
        assert present
        found.add(name)
    wait_until(lambda: later.request(type="watch", topic="room")["members"] == ["member 0"])
