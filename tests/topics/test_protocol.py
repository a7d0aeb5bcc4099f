"""wsbeat.topics.v1 as wsbeat-server --topics speaks it: what docs/topics.md promises."""

import json

import pytest
from topics import SUBPROTOCOL, TopicClient

DONE = {"type": "acknowledged"}


@pytest.fixture
def clients(start_server):
    """clients(count, flag...): so many clients of one server with --topics."""
    def make(count, *flags):
        server = start_server("--topics", *flags)
        return [TopicClient(server) for _ in range(count)]

    return make


def error_of(answer):
    assert answer.keys() == {"type", "code", "text"} and answer["type"] == "error" and answer["text"]
    return answer["code"]


def test_events_reach_subscribers_of_all_workers(clients):
    everyone = clients(8, "--workers", "4")
    for client in everyone:
        assert client.subscribe("orders.*.created") == DONE
    assert everyone[0].publish("orders.17.created", {"n": 1}) == DONE | {"reached": 8, "refused": 0}
    assert everyone[0].publish("orders.17.created", "not to me", echo=False) == DONE | {"reached": 7, "refused": 0}
    assert everyone[0].publish("orders.17.paid", 3) == DONE | {"reached": 0, "refused": 0}
    for number, client in enumerate(everyone):
        assert client.next_event() == ("orders.17.created", {"n": 1})
        if number != 0:
            assert client.next_event() == ("orders.17.created", "not to me")
        client.no_event()


def test_overlapping_subscriptions_bring_one_event(clients):
    (client,) = clients(1)
    for pattern in ("a.b", "a.*", "a.>", ">"):
        assert client.subscribe(pattern) == DONE
    assert client.publish("a.b", 1)["reached"] == 1
    assert client.next_event() == ("a.b", 1)
    client.no_event()
    for pattern in ("a.b", "a.*", "a.>"):
        assert client.unsubscribe(pattern) == DONE
    assert client.publish("a.b", 2)["reached"] == 1
    assert client.unsubscribe(">") == DONE
    assert client.publish("a.b", 3)["reached"] == 0


VALUES = [None, True, 0, -1, 1.5, 1e300, 2**53, 2**63 - 1, "", "text \u20ac \U0001f600 \" \\ \n \x00", [], {}, [[[]]], {"a": [1, {"b": None}]}]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_data_arrives_as_it_was_sent(clients, value):
    (client,) = clients(1)
    client.subscribe("t")
    client.publish("t", value)
    topic, data = client.next_event()
    assert (topic, data) == ("t", value) and type(data) is type(value)


def test_order_is_kept(clients):
    sender, receiver = clients(2, "--workers", "2")
    receiver.subscribe("numbers")
    for number in range(1000):
        sender.send(type="publish", topic="numbers", data=number)
    assert [receiver.next_event()[1] for _ in range(1000)] == list(range(1000))


def test_without_an_id_nothing_is_acknowledged(clients):
    (client,) = clients(1)
    client.send(type="subscribe", topic="t")
    client.send(type="publish", topic="t", data=1)
    client.send(type="unsubscribe", topic="t")
    client.send(type="unsubscribe", topic="t")
    assert client.receive() == {"type": "event", "topic": "t", "data": 1}
    answer = client.receive()  # errors come all the same
    assert error_of(answer) == "not_subscribed"


def test_ids_come_back_as_they_were(clients):
    (client,) = clients(1)
    for identity in (0, 7, 2**64 - 1, "", "some text", "\u20ac\"\\", 64 * "x"):
        client.send(type="subscribe", topic="t", id=identity)
        assert client.receive() == DONE | {"id": identity}


@pytest.mark.parametrize("text", [
    "", "x", "null", "1", "[]", '"subscribe"', "{", "{}", '{"type":1,"topic":"t"}', '{"type":"subscribe"}', '{"type":"subscribe","topic":1}',
    '{"type":"hello","topic":"t"}', '{"type":"publish","topic":"t"}', '{"type":"publish","topic":"t","data":1,"retain":1}',
    '{"type":"publish","topic":"t","data":1,"echo":"no"}', '{"type":"subscribe","topic":"t","id":-1}',
    '{"type":"subscribe","topic":"t","id":1.5}', '{"type":"subscribe","topic":"t","id":null}', '{"type":"subscribe","topic":"t","id":"%s"}' % (65 * "x"),
    '{"type":"subscribe","topic":"t","after":-1}', '{"type":"subscribe","topic":"t","after":1.5}', '{"type":"subscribe","topic":"t","after":"1"}',
    '{"type":"subscribe","topic":"t","after":18446744073709551616}', '{"type":"publish","topic":"t","data":1,"key":""}',
    '{"type":"publish","topic":"t","data":1,"key":7}', '{"type":"publish","topic":"t","data":1,"key":"a b"}',
    '{"type":"publish","topic":"t","data":1,"key":"\u20ac"}', '{"type":"publish","topic":"t","data":1,"key":"%s"}' % (129 * "k"),
    '{"type":"join","topic":"t"}', '{"type":"join","topic":"t","member":1}', '{"type":"join","topic":"t","member":""}',
    '{"type":"join","topic":"t","member":"a\\nb"}', '{"type":"join","topic":"t","member":"%s"}' % (256 * "m"), '{"type":"watch"}', '{"type":"leave"}',
    '{"type":"publish","topic":"t","data":%s}' % (100 * "[" + 100 * "]"), 900000 * "[", '{"type":"subscribe","topic":"t"} x'],
    ids=lambda text: repr(text[:60]))
def test_bad_requests(clients, text):
    (client,) = clients(1)
    client.raw.send_text(text)
    assert error_of(client.receive()) == "bad_request"
    assert client.subscribe("t") == DONE, "the connection goes on"


def test_an_error_names_the_request(clients):
    (client,) = clients(1)
    assert error_of(client.request(type="nothing", topic="t")) == "bad_request"
    assert error_of(client.request(type="publish", topic="t")) == "bad_request"


def test_binary_messages_are_refused(clients):
    (client,) = clients(1)
    client.raw.send_binary(b"{}")
    assert error_of(client.receive()) == "bad_request"


def test_malformed_topics(clients):
    (client,) = clients(1)
    for topic in ("", ".", "a..b", "a b", "a\nb", "a*", ">.a", 256 * "a"):
        assert error_of(client.subscribe(topic)) == "bad_topic"
        assert error_of(client.unsubscribe(topic)) == "bad_topic"
        for request in ({"type": "publish", "data": 1}, {"type": "join", "member": "m"}, {"type": "leave"}, {"type": "watch"}, {"type": "unwatch"}):
            assert error_of(client.request(topic=topic, **request)) == "bad_topic"
    for pattern in ("*", ">", "a.*"):
        for request in ({"type": "publish", "data": 1}, {"type": "join", "member": "m"}, {"type": "watch"}):
            assert error_of(client.request(topic=pattern, **request)) == "bad_topic"


def test_what_may_be_subscribed_and_published(clients):
    (client,) = clients(1, "--may-subscribe", "public.>", "--may-subscribe", "own.*", "--may-publish", "public.chat.*")
    for topic in ("public.a", "public.>", "public.*.b", "own.x", "own.*"):
        assert client.subscribe(topic) == DONE
    for topic in (">", "public", "*.a", "own.>", "own.x.y", "private.a"):
        assert error_of(client.subscribe(topic)) == "refused"
    assert client.publish("public.chat.1", 1)["reached"] == 1
    for topic in ("public.a", "public.chat", "public.chat.1.2"):
        assert error_of(client.publish(topic, 1)) == "refused"
        assert error_of(client.request(type="join", topic=topic, member="m")) == "refused", "who joins tells others"
    assert client.request(type="join", topic="public.chat.1", member="m") == DONE
    assert error_of(client.request(type="watch", topic="private.a")) == "refused", "who watches listens"
    assert client.request(type="watch", topic="public.a") == DONE | {"members": []}


def test_as_many_subscriptions_as_allowed(clients):
    (client,) = clients(1, "--max-topics", "2")
    assert [client.subscribe(topic)["type"] for topic in ("a", "b", "a")] == 3 * ["acknowledged"]
    assert error_of(client.subscribe("c")) == "limit"
    client.unsubscribe("a")
    assert client.subscribe("c") == DONE


def test_retained_messages(clients):
    sender, receiver = clients(2)
    sender.publish("state.a", "old", retain=True)
    sender.publish("state.a", "new", retain=True)
    sender.publish("state.a", "passing")
    sender.publish("state.b", None, retain=True)
    receiver.subscribe("state.*")
    assert [receiver.next_event(), receiver.next_event()] == [("state.a", "new"), ("state.b", None)]
    receiver.no_event()


def test_without_a_backplane_nothing_is_durable(clients):
    (client,) = clients(1)
    assert error_of(client.publish("t", 1, key="k")) == "not_durable"
    assert client.request(type="subscribe", topic="t", after=7) == DONE
    assert client.publish("t", 1) == DONE | {"reached": 1, "refused": 0}
    assert client.next_whole_event() == {"type": "event", "topic": "t", "data": 1}


def join(client, member, topic="room"):
    assert client.request(type="join", topic=topic, member=member) == DONE


def test_presence(clients):
    watcher, one, two = clients(3, "--workers", "2")
    join(one, "alice")
    join(one, "elsewhere", "room.2")
    answer = watcher.request(type="watch", topic="room")
    assert answer == DONE | {"members": ["alice"]}
    join(two, "bob \u20ac")
    join(two, "bob \u20ac")
    assert watcher.next_presence() == ("bob \u20ac", True)
    join(two, "alice")
    assert watcher.next_presence() == ("bob \u20ac", False), "she is there already"
    assert one.request(type="leave", topic="room") == DONE
    assert error_of(one.request(type="leave", topic="room")) == "not_subscribed"
    two.raw.finish()
    assert watcher.next_presence() == ("alice", False)
    assert watcher.request(type="unwatch", topic="room") == DONE
    assert error_of(watcher.request(type="unwatch", topic="room")) == "not_subscribed"
    join(one, "alice")
    watcher.no_event()
    assert watcher.presence == []


def test_presence_counts_as_topics(clients):
    (client,) = clients(1, "--max-topics", "3")
    client.subscribe("a")
    join(client, "me")
    assert client.request(type="watch", topic="room")["type"] == "acknowledged"
    for request in ({"type": "subscribe"}, {"type": "join", "member": "m"}, {"type": "watch"}):
        assert error_of(client.request(topic="more", **request)) == "limit"
    client.request(type="unwatch", topic="room")
    join(client, "me", "more")


def test_a_heartbeat_that_fails_ends_presence(clients):
    """A client that falls silent has left when its connection is found dead, without a word of its own."""
    watcher, silent = clients(2, "--heartbeat-ms", "200")
    join(silent, "ghost")
    assert watcher.request(type="watch", topic="room")["members"] == ["ghost"]
    assert watcher.next_presence() == ("ghost", False)


def test_other_clients_are_served_as_before(start_server):
    server = start_server("--topics", "--subprotocols", "chat", "--mode", "broadcast")
    speaker = TopicClient(server)
    speaker.subscribe(">")
    plain, both = server.connect(), server.connect(subprotocols=[SUBPROTOCOL, "chat"])
    assert plain.subprotocol == "" and both.subprotocol == "chat", "the server's own order counts"
    plain.send_text(json.dumps({"type": "publish", "topic": "a", "data": 1}))
    assert json.loads(plain.recv_text())["type"] == json.loads(both.recv_text())["type"] == "publish"
    speaker.no_event()


def test_without_the_flag_it_is_not_offered(start_server):
    assert start_server().connect(subprotocols=[SUBPROTOCOL]).subprotocol == ""


def test_authentication_comes_first(start_server):
    server = start_server("--topics", "--token", "secret", "--auth-timeout-ms", "5000")
    with server.connect(subprotocols=[SUBPROTOCOL]) as stranger:
        stranger.send_text('{"type":"subscribe","topic":"t"}')
        assert stranger.recv_close()[0] == 1008
    friend = TopicClient(server)
    friend.raw.send_text("/auth secret")
    assert friend.raw.recv_text() == "ok"
    assert friend.subscribe("t") == DONE


def test_subscriptions_end_with_their_connection(clients):
    stays, goes = clients(2)
    stays.subscribe("t")
    goes.subscribe("t")
    assert stays.publish("t", 1)["reached"] == 2
    goes.raw.finish()
    assert stays.publish("t", 2)["reached"] == 1


def test_a_slow_receiver_is_counted_as_refused(clients):
    sender, slow = clients(2, "--max-queue-bytes", "65536")
    slow.subscribe("t")
    text = 20000 * "x"
    while True:
        answer = sender.publish("t", text)
        assert answer["reached"] + answer["refused"] == 1
        if answer["refused"]:
            break
    slow.next_event()  # what was accepted comes
