"""A WebSocket server that always knows which connections are alive, and why each of the others ended.

serve() is the asyncio face, Server the one with callbacks. Heartbeat and close run in C++, on a thread of their own.
"""

from ._aio import AsyncServer, ServerConnection, serve, unix_serve
from ._callbacks import Connection, Server
from ._connection import ConnectionInfo, State
from ._errors import Close, CloseInfo, ConnectionClosed, ConnectionClosedError, ConnectionClosedOK
from ._request import Headers, Request
from ._settings import TLS, Deflate, Heartbeat, Nats
from ._topics import Durable, Published, Resumed, Stored, StoredFuture
from ._wsbeat import (
    AddressError,
    ClosedError,
    ConcurrencyError,
    ConfigError,
    FullError,
    Handshake,
    InCallbackError,
    InternalError,
    InvalidError,
    LimitError,
    NomemError,
    NotSubscribedError,
    OperatingSystemError,
    RefusedError,
    StateError,
    TlsError,
    TooBigError,
    VersionError,
    WsbeatError,
    broadcast,
    topic_covers,
    version,
)

__version__ = version()

__all__ = [
    "AddressError",
    "AsyncServer",
    "Close",
    "CloseInfo",
    "ClosedError",
    "ConcurrencyError",
    "ConfigError",
    "Connection",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "ConnectionInfo",
    "Deflate",
    "Durable",
    "FullError",
    "Handshake",
    "Headers",
    "Heartbeat",
    "InCallbackError",
    "InternalError",
    "InvalidError",
    "LimitError",
    "Nats",
    "NomemError",
    "NotSubscribedError",
    "OperatingSystemError",
    "Published",
    "RefusedError",
    "Request",
    "Resumed",
    "Server",
    "ServerConnection",
    "State",
    "StateError",
    "Stored",
    "StoredFuture",
    "TLS",
    "TlsError",
    "TooBigError",
    "VersionError",
    "WsbeatError",
    "broadcast",
    "serve",
    "topic_covers",
    "unix_serve",
]
