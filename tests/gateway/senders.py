"""A client that reconnects: it numbers its messages, keeps each until its echo has come, and sends what is left after a reconnect."""

import threading
import time

import fleet
from wsraw import CLOSE, PING, TEXT, ConnectionEnded, HandshakeRefused

IN_FLIGHT = 8
PAUSE_S = 0.002  # between messages, so that some are under way at every moment of a restart


class Sender(threading.Thread):
    """`acknowledged` in order of arrival, `places` (instances in turn), `closes` (codes received), `failures` (what must not have happened)."""

    def __init__(self, gateway, cookie, **options):
        super().__init__(daemon=True)
        self.gateway, self.cookie, self.options = gateway, cookie, options
        self.acknowledged, self.places, self.closes, self.failures = [], [], [], []
        self.waiting = []  # sent or to be sent again, not acknowledged
        self.numbered = 0
        self.connected, self.finishing = threading.Event(), threading.Event()
        self.start()

    def finish(self):
        """Sends nothing new, waits for what is under way, and ends."""
        self.finishing.set()
        self.join(30.0)
        assert not self.is_alive()

    def run(self):
        try:
            while not (self.finishing.is_set() and not self.waiting):
                self._connection()
        except (HandshakeRefused, OSError, AssertionError) as failure:
            self.failures.append(repr(failure))

    def _connection(self):
        client, place = fleet.connect(self.gateway, cookie=self.cookie, **self.options)
        self.places.append(place)
        self.connected.set()
        with client:
            try:
                for number in self.waiting:
                    client.send_text(str(number))
                while not self.finishing.is_set() or self.waiting:
                    if len(self.waiting) < IN_FLIGHT and not self.finishing.is_set():
                        self.waiting.append(self.numbered)
                        self.numbered += 1
                        client.send_text(str(self.waiting[-1]))
                        time.sleep(PAUSE_S)
                    if not self._take(client):
                        return
                client.finish(1000)
            except (ConnectionEnded, BrokenPipeError, ConnectionResetError):
                pass  # what is waiting goes over the next connection

    def _take(self, client):
        """One frame; False when the server has closed."""
        frame = client.recv_frame()
        if frame.opcode == TEXT:
            number = int(frame.payload)
            self.waiting.remove(number)
            self.acknowledged.append(number)
        elif frame.opcode == PING:
            client.send_pong(frame.payload)
        elif frame.opcode == CLOSE:
            self.closes.append(frame.close[0])
            client.send_close(frame.close[0])
            client.recv_all()
            return False
        return True
