"""Durable topics without NATS: the store in memory of tests/capi, as a library that servers in Python load."""

import ctypes
import os
import subprocess
from pathlib import Path

from wsbeat import _settings

ROOT = Path(__file__).parent.parent.parent


def build(folder):
    """Compiles it; the path of the library."""
    library = folder / "store.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-fvisibility=hidden", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections",
                    "-Wl,-z,defs", f"-I{ROOT / 'include'}", f"-I{ROOT / 'tests/capi'}", ROOT / "tests/python/store.c",
                    ROOT / "tests/capi/support_store.c", "-o", library, "-lpthread"], check=True, timeout=60)
    return library


class Store:
    """Its controls, for the server that was made last. Topics "d." and more are durable."""

    def __init__(self, library):
        self.library = library
        self.calls = ctypes.CDLL(os.fspath(library))
        self.calls.faults.restype = ctypes.c_uint64

    def join(self, engine, nats=None):
        """In the place of _settings.join_nats."""
        engine.join_nats(os.fspath(self.library), {})

    def patch(self, monkeypatch):
        """Every server from now on has a store."""
        monkeypatch.setattr(_settings, "join_nats", self.join)

    def hold_feed(self, on):
        self.calls.hold_feed(on)

    def hold_replays(self, on):
        self.calls.hold_replays(on)

    def forget_before(self, sequence):
        self.calls.forget_before(ctypes.c_uint64(sequence))

    def answer_done(self, code):
        self.calls.answer_done(code)

    def answer_store(self, code):
        self.calls.answer_store(code)

    def faults(self):
        return self.calls.faults()
