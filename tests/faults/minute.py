"""A minute of waiting, side by side and on a thread of its own: what test_one_minute.py looks at in the end."""

import contextlib
import threading
import time

import netns
import wsraw
from crowd import Crowd
from server import Server

IDLE_S = 62.0
IDLE = 20
MESSAGE_TIMEOUT_S = 60.0
FLAGS = ["--heartbeat-ms", "off", "--commands", "--stop-deadline-ms", "500"]


class Minute:
    """The servers, their clients and when it began. Its thread touches them until wait() returns."""

    def __init__(self, tls_flags):
        self.resources = contextlib.ExitStack()
        self._failure = None
        self._thread = threading.Thread(target=self._run, args=(tls_flags,), daemon=True)
        self._thread.start()

    def wait(self):
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def close(self):
        self._thread.join()
        self.resources.close()

    def _run(self, tls_flags):
        try:
            self._start(tls_flags)
            while time.monotonic() < self.since + IDLE_S:
                self.crowd.run(1.0)
                if time.monotonic() < self.since + MESSAGE_TIMEOUT_S - 2.0:
                    self.slow.send_raw(b"x")
        except BaseException as failure:  # of whatever kind, it belongs to the tests
            self._failure = failure

    def _start(self, tls_flags):
        enter = self.resources.enter_context
        self.network = enter(netns.Network())
        self.plain, self.secure = enter(Server(*FLAGS)), enter(Server(*FLAGS, *tls_flags))
        self.far = enter(Server("--host", self.network.SERVER, *FLAGS, prefix=self.network.on_server, host=self.network.SERVER))
        with self.network.client():
            self.unheard, self.unheard_open = self.far.connect_open()
        self.deaf, self.deaf_open = self.plain.connect_open(receive_buffer=8192)
        self.slow, self.slow_open = self.plain.connect_open()
        self.crowd = enter(Crowd(self.plain.port))
        self.crowd.open(IDLE)
        self.secure_clients = [enter(self.secure.connect()) for _ in range(IDLE)]
        for client in (self.unheard, self.deaf, self.slow):
            enter(client)
        self.network.drop("to_client")
        self.since = time.monotonic()
        self.unheard.send_text("no echo arrives")
        self.deaf.send_text("/flood 1000 60000")
        self.slow.send_raw(wsraw.build_frame(wsraw.BINARY, bytes(1000))[:10])
