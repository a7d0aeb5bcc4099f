#!/usr/bin/env python3
"""An echo server from Python's standard library alone: the C interface through ctypes, events through select().

Shows that the ABI needs no binding: structs are declared by hand from wsbeat.h, and since each begins with its size, Config may
end after the last field used here. The library is found by WSBEAT_LIBRARY (a path) or by the system's loader.

    python3 ctypes_echo.py --port 9001
"""

import argparse
import ctypes
import ctypes.util
import os
import select
import signal
from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_size_t, c_uint32, c_uint64, c_void_p

E_FULL = -5
DELIVERY_QUEUE = 1
EVENT_OPEN, EVENT_MESSAGE, EVENT_PONG, EVENT_DRAIN, EVENT_CLOSE, EVENT_REFUSED, EVENT_LOG, EVENT_STOPPED = range(1, 9)


class Config(ctypes.Structure):
    """The first fields of wsb_config; those after log_level keep their defaults."""

    _fields_ = [("size", c_size_t), ("host", c_char_p), ("port", c_uint32), ("listen_fd", c_int32), ("unix_path", c_char_p),
                ("backlog", c_uint32), ("workers", c_uint32), ("delivery", c_uint32), ("log_level", c_uint32)]


class MessageEvent(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("conn", c_uint64), ("conn_user", c_void_p), ("data", c_void_p), ("length", c_size_t),
                ("kind", c_uint32), ("reserved", c_uint32)]


class OpenEvent(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("conn", c_uint64), ("conn_user", c_void_p), ("path", c_char_p), ("query", c_char_p),
                ("subprotocol", c_char_p), ("peer", c_char_p)]


class CloseEvent(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("conn", c_uint64), ("conn_user", c_void_p), ("code", c_uint32), ("code_sent", c_uint32),
                ("reason", c_char_p), ("reason_length", c_size_t), ("clean", c_uint32), ("initiator", c_uint32),
                ("cause", c_uint32), ("reserved", c_uint32)]


class Event(ctypes.Structure):
    """wsb_event: the pointer that belongs to `type` is set, the others are NULL."""

    _fields_ = [("size", c_size_t), ("type", c_uint32), ("reserved", c_uint32), ("conn", c_uint64),
                ("open", POINTER(OpenEvent)), ("message", POINTER(MessageEvent)), ("pong", c_void_p), ("drain", c_void_p),
                ("close", POINTER(CloseEvent)), ("refused", c_void_p), ("log", c_void_p)]


def load_library():
    """The library with the signatures of the functions used here."""
    lib = ctypes.CDLL(os.environ.get("WSBEAT_LIBRARY") or ctypes.util.find_library("wsbeat") or "libwsbeat.so.0.1")
    signatures = {
        "wsb_last_error": (c_char_p,),
        "wsb_cause_name": (c_char_p, c_uint32),
        "wsb_server_create": (c_int, POINTER(Config), c_void_p, POINTER(c_void_p)),
        "wsb_server_start": (c_int, c_void_p),
        "wsb_server_port": (c_uint32, c_void_p),
        "wsb_server_event_fd": (c_int, c_void_p),
        "wsb_server_next_events": (c_int, c_void_p, c_size_t, POINTER(c_void_p)),
        "wsb_batch_count": (c_size_t, c_void_p),
        "wsb_batch_event": (POINTER(Event), c_void_p, c_size_t),
        "wsb_batch_release": (None, c_void_p),
        "wsb_send": (c_int, c_void_p, c_uint64, c_uint32, c_void_p, c_size_t),
        "wsb_conn_pause": (c_int, c_void_p, c_uint64),
        "wsb_conn_resume": (c_int, c_void_p, c_uint64),
        "wsb_server_request_stop": (c_int, c_void_p, c_void_p),
        "wsb_server_stop": (c_int, c_void_p, c_void_p, c_void_p),
        "wsb_server_destroy": (c_int, c_void_p),
    }
    for name, (result, *arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


class EchoServer:
    """Echoes with backpressure: what a full queue refuses is kept, in order, until EVENT_DRAIN."""

    def __init__(self, lib, port):
        self.lib = lib
        self.server = c_void_p()
        self.waiting = {}  # connection -> messages that found the queue full
        config = Config(size=ctypes.sizeof(Config), port=port, delivery=DELIVERY_QUEUE)
        self.check(lib.wsb_server_create(byref(config), None, byref(self.server)))
        try:
            self.check(lib.wsb_server_start(self.server))
        except RuntimeError:
            lib.wsb_server_destroy(self.server)
            raise

    def check(self, result):
        if result < 0:
            raise RuntimeError(self.lib.wsb_last_error().decode())
        return result

    @property
    def port(self):
        return self.lib.wsb_server_port(self.server)

    def serve(self, wake_fd):
        """Until the last event; a byte on `wake_fd` (a signal) begins the stop."""
        event_fd = self.check(self.lib.wsb_server_event_fd(self.server))
        running = True
        while running:
            readable, _, _ = select.select([event_fd, wake_fd], [], [])
            if wake_fd in readable:
                os.read(wake_fd, 64)
                self.lib.wsb_server_request_stop(self.server, None)
            if event_fd in readable:
                running = self.take_events()
        self.lib.wsb_server_stop(self.server, None, None)  # waits for the worker threads
        self.lib.wsb_server_destroy(self.server)

    def take_events(self):
        """Handles all that waits; False after the server's last event."""
        batch, running = c_void_p(), True
        while True:
            self.check(self.lib.wsb_server_next_events(self.server, 0, byref(batch)))
            if not batch:
                return running
            for index in range(self.lib.wsb_batch_count(batch)):
                event = self.lib.wsb_batch_event(batch, index).contents
                self.handle(event)
                running = running and event.type != EVENT_STOPPED
            self.lib.wsb_batch_release(batch)  # the events' pointers end here

    def handle(self, event):
        if event.type == EVENT_OPEN:
            print(f"open {event.conn} {event.open.contents.path.decode()} from {event.open.contents.peer.decode()}", flush=True)
        elif event.type == EVENT_MESSAGE:
            self.echo(event.conn, event.message.contents)
        elif event.type == EVENT_DRAIN:
            self.drain(event.conn)
        elif event.type == EVENT_CLOSE:
            self.waiting.pop(event.conn, None)
            close = event.close.contents
            print(f"close {event.conn} {close.code} {close.reason.decode()!r} {self.lib.wsb_cause_name(close.cause).decode()}",
                  flush=True)

    def echo(self, conn, message):
        waiting = self.waiting.get(conn)
        if waiting is None:
            if self.lib.wsb_send(self.server, conn, message.kind, message.data, message.length) != E_FULL:
                return
            waiting = self.waiting[conn] = []
            self.lib.wsb_conn_pause(self.server, conn)  # messages already in the event queue still come
        waiting.append((message.kind, ctypes.string_at(message.data, message.length)))

    def drain(self, conn):
        waiting = self.waiting.get(conn, [])
        while waiting:
            kind, data = waiting[0]
            if self.lib.wsb_send(self.server, conn, kind, data, len(data)) == E_FULL:
                return
            waiting.pop(0)
        if self.waiting.pop(conn, None) is not None:
            self.lib.wsb_conn_resume(self.server, conn)


def main():
    parser = argparse.ArgumentParser(description="WebSocket echo server through ctypes")
    parser.add_argument("--port", type=int, default=9001, help="0: any free port")
    arguments = parser.parse_args()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)  # a signal makes select return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    try:
        server = EchoServer(load_library(), arguments.port)
    except RuntimeError as error:
        raise SystemExit(f"cannot start: {error}") from None
    print(f"listening on port {server.port}", flush=True)
    server.serve(wake_read)


if __name__ == "__main__":
    main()
