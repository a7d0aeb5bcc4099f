"""Clients of wsbeat.topics.v1 by the thousand, in one thread, that go on by themselves as topics.js does: each keeps the position of its one pattern,
comes back after a random time, and resumes there. What each of them saw, and when it came back, is kept."""

import heapq
import json
import random
import time

import wsraw
from crowd import Crowd
from topics import SUBPROTOCOL


class TopicCrowdClient:
    """One client over all its connections. seen: (sequence, data) in the order of arrival; position: None before the first acknowledgement;
    returns: time.time() that each of them chose for an attempt after a connection that was lost (what delays this one thread delays none of so
    many real clients); missed: acknowledgements that said so."""

    __slots__ = ("pattern", "position", "active", "seen", "repeated", "held", "returns", "missed", "connections", "failures")

    def __init__(self, pattern):
        self.pattern = pattern
        self.position = None
        self.active = False  # acknowledged on the present connection
        self.seen, self.held, self.returns = [], [], []
        self.repeated = self.missed = self.connections = self.failures = 0

    def request(self):
        request = {"type": "subscribe", "topic": self.pattern, "id": 1}
        if self.position is not None:
            request["after"] = self.position
        return json.dumps(request)

    def take(self, message):
        if message["type"] == "acknowledged":
            self.missed += message.get("missed", False)
            self.position = max(self.position or 0, message["sequence"])
            held, self.held = self.held, []
            for event in held:
                self._event(event)
            self.active = True
        elif self.active or "replay" in message:
            self._event(message)
        else:
            self.held.append(message)

    def _event(self, event):
        sequence = event["sequence"]
        if self.position is not None and sequence <= self.position:
            self.repeated += "replay" not in event and self.active  # what is new must never be old
            return
        self.position = sequence
        self.seen.append((sequence, event["data"]))

    def lost(self):
        self.active, self.held = False, []


class TopicCrowd(Crowd):
    """Full jitter: an attempt follows after a random time below min_delay_s, twice that after the next failure, and so on up to max_delay_s."""

    def __init__(self, port, min_delay_s=1.0, max_delay_s=30.0, **options):
        super().__init__(port, subprotocols=(SUBPROTOCOL,), **options)
        self.min_delay_s, self.max_delay_s = min_delay_s, max_delay_s
        self.clients = []
        self._client_of = {}  # member -> client
        self._due = []  # heap of (time.monotonic(), number, client)

    def add(self, count, pattern_of):
        """Opens so many clients; pattern_of(number) says what each wants. Returns when all have subscribed."""
        while len(self.clients) < count:
            batch = [TopicCrowdClient(pattern_of(number)) for number in range(len(self.clients), min(count, len(self.clients) + 128))]
            self.clients += batch
            for client in batch:
                self._start(client)
            assert self.run(until=lambda batch=batch: all(client.active for client in batch)), "not all have subscribed"

    @property
    def active(self):
        return sum(client.active for client in self.clients)

    def run(self, seconds=60.0, until=None):
        deadline = time.monotonic() + seconds
        while not (until is not None and until()):
            now = time.monotonic()
            if now >= deadline:
                return until is None
            while self._due and self._due[0][0] <= now:
                due, _, client = heapq.heappop(self._due)
                client.returns.append(time.time() - (now - due))
                self._start(client)
            super().run(min(deadline - now, 0.02, max(self._due[0][0] - now, 0.0) if self._due else 1.0))
        return True

    def _start(self, client):
        client.connections += 1
        try:
            self._client_of[self._connect()] = client
        except OSError:
            self._again(client)

    def _take_answer(self, member):
        super()._take_answer(member)
        if member.state == "open":
            client = self._client_of[member]
            client.failures = 0
            member.send(wsraw.TEXT, client.request().encode())

    def _take_frame(self, member, opcode, payload):
        if opcode == wsraw.TEXT:
            self._client_of[member].take(json.loads(payload))
        else:
            super()._take_frame(member, opcode, payload)

    def _end(self, member, how):
        if member.state == "ended":
            return
        super()._end(member, how)
        self._again(self._client_of.pop(member))
        self.members.remove(member)

    def _again(self, client):
        client.lost()
        ceiling = min(self.max_delay_s, self.min_delay_s * 2 ** client.failures)
        client.failures += 1
        heapq.heappush(self._due, (time.monotonic() + random.uniform(0, ceiling), id(client), client))
