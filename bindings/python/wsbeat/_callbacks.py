"""The callback face: a Server with decorators, on threads, without asyncio."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Optional, TypeVar, Union

from . import _settings
from ._connection import SharedCalls
from ._errors import ConnectionClosed, closed_exception
from ._topics import TopicServer
from ._wsbeat import Engine, PlainConnection

if TYPE_CHECKING:
    from ._errors import CloseInfo
    from ._wsbeat import Handshake

F = TypeVar("F", bound=Callable[..., object])


class Connection(SharedCalls, PlainConnection):
    """One connection of a Server. Every method may be called from any thread."""

    __slots__ = ("__dict__",)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Starts the closing handshake and returns: what is queued still goes out, and on_close tells how it went. `code` 0: without a code.

        A connection that is closing or closed is left alone.
        """
        try:
            self._close(code, reason)
        except ConnectionClosed:
            return
        self._reason_sent = reason

    def ping(self, payload: Union[str, bytes] = b"") -> None:
        """Sends a ping with at most 125 bytes; on_pong tells the round trip if the payload is unique among those outstanding."""
        self._ping(payload)

    def subscribe(self, topic: str, after: Optional[int] = None) -> bool:
        """Subscribes to a topic, or to a pattern with "*" for one token or a last ">" for the rest. It has effect at once, until
        unsubscribe() or the end of the connection; retained messages that match are sent first.

        True: durable topics may match, and on_resumed will tell when the subscription has reached the present. after: the sequence of the
        last durable message that the client has seen; what came after it is sent first (0: all that is kept).
        None: only what is new.
        Raises InvalidError for a malformed name, RefusedError when on_subscribe said no, LimitError beyond max_topics_per_connection or
        max_subscriptions, and ConnectionClosed.
        """
        return self._subscribe(topic, after)


class Server(TopicServer):
    """A WebSocket server that calls you: register callbacks, then start() or run().

    Callbacks run one at a time, on the thread of run(), or on one thread that start() makes. Only on_handshake and on_http run on the
    library's worker threads and hold the connection up until they return, on_durable and on_presence on threads of the library, and
    on_subscribe on the thread that calls subscribe(). Settings are those of serve(), in seconds and bytes.

        server = wsbeat.Server(port=9001)

        @server.on_message
        def echo(conn, message):
            conn.send(message)

        server.run()
    """

    def __init__(
        self,
        host: Optional[str] = None,
        port: Optional[int] = None,
        *,
        unix: Union[str, os.PathLike[str], None] = None,
        sock: Union[socket.socket, int, None] = None,
        subprotocols: Optional[Sequence[str]] = None,
        require_subprotocol: bool = False,
        origins: Optional[Sequence[Optional[str]]] = None,
        trusted_proxies: Optional[Sequence[str]] = None,
        heartbeat: _settings.HeartbeatLike = _settings.DEFAULT_HEARTBEAT_S,
        compression: _settings.CompressionLike = None,
        max_size: Optional[int] = 2**20,
        max_queue: Optional[int] = None,
        slow_consumer: str = "refuse",
        tcp_user_timeout: Optional[float] = None,
        ssl: Union[_settings.TLS, tuple[Any, Any], None] = None,
        nats: _settings.NatsLike = None,
        logger: Optional[logging.Logger] = None,
        **settings: Any,
    ) -> None:
        self._logger = logger or logging.getLogger("wsbeat")
        fields = _settings.library_settings(
            host=host, port=port, unix=unix, sock=sock, ssl=ssl, subprotocols=subprotocols, require_subprotocol=require_subprotocol,
            origins=origins, trusted_proxies=trusted_proxies, heartbeat=heartbeat, compression=compression, max_size=max_size,
            max_queue=max_queue, slow_consumer=slow_consumer, tcp_user_timeout=tcp_user_timeout, logger=self._logger, others=settings)
        self._engine = Engine(fields, Connection)
        _settings.join_nats(self._engine, nats)
        self._engine.set_handlers({"log": _settings.log_to(self._logger), "error": self._on_error, "closed": closed_exception})
        self._thread: Optional[threading.Thread] = None

    # ------------------------------------------------------------------------------------------------------------ callbacks

    def _register(self, name: str, function: F) -> F:
        if not callable(function):
            raise TypeError(f"on_{name} takes a function")
        self._engine.set_handlers({name: function})
        return function

    def on_open(self, function: F) -> F:
        """Registers function(connection): the handshake is done."""
        return self._register("open", function)

    def on_message(self, function: F) -> F:
        """Registers function(connection, message): str for text, bytes for binary."""
        return self._register("message", function)

    def on_pong(self, function: F) -> F:
        """Registers function(connection, round_trip, payload, heartbeat): seconds, 0.0 for a pong that nobody asked for."""
        return self._register("pong", function)

    def on_drain(self, function: F) -> F:
        """Registers function(connection): after a FullError, half the send queue is free again."""
        return self._register("drain", function)

    def on_close(self, function: F) -> F:
        """Registers function(connection, info): exactly once for each on_open, and the last word on that connection. info: CloseInfo."""
        return self._register("close", function)

    def on_refused(self, function: F) -> F:
        """Registers function(status, reason, address): a handshake was refused."""
        return self._register("refused", function)

    def on_handshake(self, function: F) -> F:
        """Registers function(handshake), called on a worker thread before the answer. Not answering accepts."""
        return self._register("handshake", function)

    def on_http(self, function: F) -> F:
        """Registers function(handshake), called on a worker thread for plain HTTP. Not answering gives 426."""
        return self._register("http", function)

    def on_subscribe(self, function: F) -> F:
        """Registers function(connection, topic), which says by True or False whether a connection may subscribe. It is called by
        subscribe(), on its thread; what it raises comes out there."""
        return self._register("subscribe", function)

    def on_resumed(self, function: F) -> F:
        """Registers function(connection, topic, resumed): a subscription with durable topics has reached the present. resumed: Resumed."""
        return self._register("resumed", function)

    def on_durable(self, function: F) -> F:
        """Registers function(message), which makes of a Durable what is sent: str, bytes, or None for the data as it was published.

        It is called on threads of the library, which wait for it, and cannot use the server.
        """
        return self._register("durable", function)

    def on_presence(self, function: F) -> F:
        """Registers function(topic, member, present), which makes what those are sent who watch the topic: str, bytes, or None for nothing.

        It is called on threads of the library, which wait for it, and cannot use the server.
        """
        return self._register("presence", function)

    def _on_error(self, connection: Optional[Connection], where: str, error: Exception) -> None:
        if isinstance(error, ConnectionClosed) and connection is not None and (error.info is None or error.info is connection.close_info):
            self._logger.debug("on_%s used a connection that has ended", where)
            return
        self._logger.error("on_%s failed", where, exc_info=error)
        if connection is not None:
            connection.close(1011, "internal error")

    # ----------------------------------------------------------------------------------------------------------------- life

    def start(self) -> None:
        """Listens, and delivers events on a thread of its own until stop(). Raises AddressError, TlsError and the like."""
        self._engine.start()
        self._thread = threading.Thread(target=self._engine.serve, name="wsbeat", daemon=True)
        self._thread.start()

    def run(self) -> None:
        """Listens, and delivers events on this thread until the server has stopped. KeyboardInterrupt stops it and is raised again."""
        self._engine.start()
        try:
            self._engine.serve()
        except BaseException:
            self._finish()
            raise
        self._engine.stop(0, "", 0, 0)  # the workers have ended: joins them

    def _finish(self) -> None:
        """After an interruption: everyone gets a Close, and on_close is called for each; messages that still wait are dropped."""
        self._engine.set_handlers({"message": None, "pong": None, "drain": None, "resumed": None})
        self._engine.stop(0, "", 0, 0)
        self._engine.serve()

    def stop(self, code: int = 1001, reason: str = "", *, deadline: float = 5.0, spread: float = 0.0) -> tuple[int, int]:
        """Closes everyone and returns when the last connection has ended: (clean, aborted).

        What is left after `deadline` seconds is aborted; closes are spread over `spread` seconds. Not from on_handshake or on_http
        (InCallbackError): there, request_stop().
        """
        result = self._engine.stop(*_stop_fields(code, reason, deadline, spread))
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        return result

    def request_stop(self, code: int = 1001, reason: str = "", *, deadline: float = 5.0, spread: float = 0.0) -> None:
        """Begins the same and returns at once, from any thread."""
        self._engine.request_stop(*_stop_fields(code, reason, deadline, spread))

    def flush(self) -> None:
        """Lets what was sent leave now: before something that holds this thread up for long."""
        self._engine.flush()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # ------------------------------------------------------------------------------------------------------------ questions

    @property
    def port(self) -> int:
        """The TCP port that is listened on; 0 before the start and for Unix sockets."""
        return self._engine.port()

    @property
    def connections(self) -> list[Connection]:
        """Those whose on_open was called and whose on_close was not."""
        return self._engine.connections()

    def metrics(self) -> dict[str, Any]:
        """Totals since the server was made, and levels now; `closed_by_cause` is a dict."""
        return self._engine.metrics()

    def metrics_text(self) -> str:
        """The same and more in Prometheus text format."""
        return self._engine.metrics_text()

    def reload_tls(self, cert: Optional[str] = None, key: Optional[str] = None) -> None:
        """Loads certificate and key again, from these files or the configured ones; open connections go on."""
        self._engine.reload_tls(cert, key)


def _stop_fields(code: int, reason: str, deadline: float, spread: float) -> tuple[int, str, int, int]:
    spread_ms = _settings.milliseconds("spread", spread) if spread else 0
    return code, reason, _settings.milliseconds("deadline", deadline), spread_ms
