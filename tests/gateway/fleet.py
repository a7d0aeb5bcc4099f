"""Several instances of wsbeat-server that can be ended and started again on their ports, and say which of them has a connection."""

import signal

import wsraw
from gateways import free_ports
from server import Server

NAMES = ("instance-0", "instance-1", "instance-2")
HEARTBEAT = ("--heartbeat-ms", "1000", "--heartbeat-timeout-ms", "900")  # generous: threads of a busy machine answer


class Fleet:
    """Each instance speaks a subprotocol named after itself, so a client that offers all of them learns where it is."""

    def __init__(self, *flags, count=3):
        self.flags = flags
        self.ports = free_ports(count)
        self.servers = [None] * count
        self.ended = []  # servers that were replaced
        try:
            for index in range(count):
                self.start(index)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self, index):
        if self.servers[index] is not None:
            self.ended.append(self.servers[index])
        self.servers[index] = Server(*HEARTBEAT, "--trusted-proxy", "127.0.0.1", *self.flags, "--subprotocols", NAMES[index],
                                     "--port", self.ports[index])

    def kill(self, index):
        self.servers[index].send_signal(signal.SIGKILL)
        self.servers[index].wait()

    def close(self):
        for server in (*self.ended, *self.servers):
            if server is not None:
                server.kill()


def connect(gateway, path="/", cookie=None, headers=(), **options):
    """(client, index of its instance) through a gateway; it offers every instance's subprotocol."""
    headers = [*headers, *([("Cookie", f"wsbeat={cookie}")] if cookie else [])]
    client = wsraw.connect(gateway if isinstance(gateway, int) else gateway.port, path, headers=headers, subprotocols=NAMES, **options)
    return client, NAMES.index(client.subprotocol)


def cookie_of(client):
    """The routing cookie that came with the handshake, or None."""
    text = client.response.headers.get("set-cookie", "")
    return text.partition("wsbeat=")[2].partition(";")[0] or None
