"""A server and a client in two network namespaces, joined by a veth pair that can be cut or can lose packets.

    with Network() as network:
        server = Server("--host", network.SERVER, prefix=network.on_server, host=network.SERVER)
        with network.client():
            client = server.connect()  # the socket stays in that namespace
        network.cut()
"""

import contextlib
import ctypes
import os
import subprocess
import uuid

_CLONE_NEWNET = 0x40000000
_LINK = "wire"
_DROPS = {
    "both": "add chain inet loss in { type filter hook input priority 0; }; add rule inet loss in iifname wire drop; "
            "add chain inet loss out { type filter hook output priority 0; }; add rule inet loss out oifname wire drop",
    "to_client": "add chain inet loss in { type filter hook input priority 0; }; add rule inet loss in iifname wire drop",
    "to_server": "add chain inet loss out { type filter hook output priority 0; }; add rule inet loss out oifname wire drop",
}


def _run(*command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if result.returncode != 0:
        raise OSError(f"{' '.join(command)}: {result.stderr.strip() or result.returncode}")


def unavailable():
    """Why networks cannot be made here, or None if they can."""
    try:
        with Network() as network:
            network.drop()
    except OSError as error:
        return str(error)
    return None


class Network:
    """The namespaces exist from the beginning of the `with` to its end; their names are unique. Raises OSError where that is impossible."""

    SERVER = "10.99.0.1"
    CLIENT = "10.99.0.2"

    def __init__(self):
        name = f"wsbeat-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.server_side, self.client_side = name + "-s", name + "-c"
        self.on_server = ["ip", "netns", "exec", self.server_side]

    def __enter__(self):
        try:
            for side in (self.server_side, self.client_side):
                _run("ip", "netns", "add", side)
                _run("ip", "-n", side, "link", "set", "lo", "up")
            _run("ip", "-n", self.server_side, "link", "add", _LINK, "type", "veth", "peer", "name", _LINK, "netns", self.client_side)
            for side, address in ((self.server_side, self.SERVER), (self.client_side, self.CLIENT)):
                _run("ip", "-n", side, "address", "add", address + "/24", "dev", _LINK)
                _run("ip", "-n", side, "link", "set", _LINK, "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for side in (self.server_side, self.client_side):
            with contextlib.suppress(OSError):
                _run("ip", "netns", "del", side)

    def client(self):
        """Inside, sockets that this thread makes are in the client's namespace, for their whole life."""
        return self._inside(self.client_side)

    def server(self):
        """The same for the server's namespace: a neighbour for whom nothing is ever cut."""
        return self._inside(self.server_side)

    @staticmethod
    @contextlib.contextmanager
    def _inside(side):
        libc = ctypes.CDLL(None, use_errno=True)

        def enter(fd):
            if libc.setns(fd, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            there = os.open(f"/run/netns/{side}", os.O_RDONLY)
            try:
                enter(there)
            finally:
                os.close(there)
            try:
                yield
            finally:
                enter(home)
        finally:
            os.close(home)

    def cut(self):
        """Takes the link down, as a pulled cable does: neither side is told."""
        _run("ip", "-n", self.client_side, "link", "set", _LINK, "down")

    def mend(self):
        _run("ip", "-n", self.client_side, "link", "set", _LINK, "up")

    def drop(self, which="both"):
        """Loses every packet in silence: "both" directions, "to_client" or "to_server"."""
        _run("ip", "netns", "exec", self.client_side, "nft", "add table inet loss; " + _DROPS[which])

    def pass_again(self):
        _run("ip", "netns", "exec", self.client_side, "nft", "delete table inet loss")
