"""A client of wsbeat.topics.v1, over wsraw, that keeps events apart from answers."""

import json

SUBPROTOCOL = "wsbeat.topics.v1"


class TopicClient:
    """Requests wait for their answer; events that come meanwhile are kept, in order, for next_event()."""

    def __init__(self, server, **options):
        self.raw = server.connect(subprotocols=[SUBPROTOCOL], **options)
        assert self.raw.subprotocol == SUBPROTOCOL
        self.events = []
        self.last_id = 0

    def close(self):
        self.raw.close()

    def send(self, **request):
        self.raw.send_text(json.dumps(request))

    def receive(self, timeout=None):
        return json.loads(self.raw.recv_text(timeout))

    def request(self, **request):
        """Sends with an id and gives the answer without it."""
        self.last_id += 1
        self.send(id=self.last_id, **request)
        while True:
            message = self.receive()
            if message["type"] == "event":
                self.events.append(message)
            else:
                assert message.pop("id") == self.last_id
                return message

    def subscribe(self, topic):
        return self.request(type="subscribe", topic=topic)

    def unsubscribe(self, topic):
        return self.request(type="unsubscribe", topic=topic)

    def publish(self, topic, data, **options):
        return self.request(type="publish", topic=topic, data=data, **options)

    def next_event(self, timeout=None):
        """(topic, data) of the next event."""
        event = self.events.pop(0) if self.events else self.receive(timeout)
        assert event["type"] == "event", event
        return event["topic"], event["data"]

    def no_event(self):
        """Asserts that nothing is under way: an answer comes, and no event before it."""
        self.request(type="publish", topic="nobody.listens.to.this", data=None, echo=False)
        assert self.events == []
