"""A client of wsbeat.topics.v1, over wsraw, that keeps events apart from answers."""

import json

SUBPROTOCOL = "wsbeat.topics.v1"


class TopicClient:
    """Requests wait for their answer; events and presence messages that come meanwhile are kept, in order, for next_event() and next_presence()."""

    def __init__(self, server, **options):
        self.raw = server.connect(subprotocols=[SUBPROTOCOL], **options)
        assert self.raw.subprotocol == SUBPROTOCOL
        self.events, self.presence = [], []
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
            if not self._keep(message):
                assert message.pop("id") == self.last_id
                return message

    def _keep(self, message):
        kept = {"event": self.events, "presence": self.presence}.get(message["type"])
        if kept is not None:
            kept.append(message)
        return kept is not None

    def subscribe(self, topic, **options):
        return self.request(type="subscribe", topic=topic, **options)

    def unsubscribe(self, topic):
        return self.request(type="unsubscribe", topic=topic)

    def publish(self, topic, data, **options):
        return self.request(type="publish", topic=topic, data=data, **options)

    def next_event(self, timeout=None):
        """(topic, data) of the next event."""
        event = self.next_whole_event(timeout)
        return event["topic"], event["data"]

    def next_whole_event(self, timeout=None):
        return self._next(self.events, timeout)

    def next_presence(self, timeout=None):
        """(member, present) of the next change."""
        change = self._next(self.presence, timeout)
        return change["member"], change["present"]

    def _next(self, kept, timeout):
        while not kept:
            message = self.receive(timeout)
            assert self._keep(message), message
        return kept.pop(0)

    def no_event(self):
        """Asserts that nothing is under way: an answer comes, and no event before it."""
        self.request(type="publish", topic="nobody.listens.to.this", data=None, echo=False)
        assert self.events == [], self.events[:5]
