"""The asyncio face, in the shape that users of `websockets` know."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
import os
import socket
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

from . import _settings
from ._callbacks import _stop_fields
from ._connection import SharedCalls, State
from ._errors import CloseInfo, ConnectionClosed, closed_exception
from ._request import Request
from ._topics import Durable, Resumed, TopicServer
from ._wsbeat import AsyncConnection, Engine, NotSubscribedError, sent

if TYPE_CHECKING:
    from ._wsbeat import Handshake

Message = Union[str, bytes, bytearray, memoryview]
DEFAULT_MAX_QUEUE = 32

_ping_numbers = itertools.count(1)


class ServerConnection(SharedCalls, AsyncConnection):
    """One connection. Iterate over it, or call recv(); send() and close() are to be awaited. For the loop's own thread."""

    __slots__ = ("__dict__",)

    # Most connections never need these.
    _closed: Optional[asyncio.Future[None]] = None
    _drained: Optional[asyncio.Future[None]] = None
    _send_lock: Optional[asyncio.Lock] = None
    _slow_sends = 0
    _pings: Optional[dict[bytes, asyncio.Future[float]]] = None
    _resuming: Optional[dict[str, list[asyncio.Future[Optional[Resumed]]]]] = None
    _reason_sent = ""

    # -------------------------------------------------------------------------------------------------------------- sending

    async def _send_slowly(self, message: Union[Message, Iterable[Message], AsyncIterable[Message]]) -> None:
        """What send() does when it has to wait, to join, or to tell how the connection ended. Waiting messages keep their order."""
        if not isinstance(message, (str, bytes, bytearray, memoryview)):
            message = await _join(message)
        if self._send_lock is None:
            self._send_lock = asyncio.Lock()
        self._slow_sends += 1
        self._held = True
        try:
            async with self._send_lock:
                while not self._try_send(message):
                    self._drained = asyncio.get_running_loop().create_future()
                    await self._drained
        except ConnectionClosed:
            await self.wait_closed()
            raise closed_exception(self) from None
        finally:
            self._slow_sends -= 1
            self._held = self._slow_sends != 0

    def _on_drain(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    # --------------------------------------------------------------------------------------------------------------- topics

    def subscribe(self, topic: str, after: Optional[int] = None) -> Awaitable[Optional[Resumed]]:
        """Subscribes to a topic, or to a pattern with "*" for one token or a last ">" for the rest. It has effect at once, awaited or not,
        until unsubscribe() or the end of the connection; retained messages that match are sent first.

        Awaited, it gives None; if durable topics may match it waits until the subscription has reached the present, and gives a Resumed.
        after: the sequence of the last durable message that the client has seen; what came after it is sent first (0: all that is kept).
        None: only what is new.
        Raises InvalidError for a malformed name, RefusedError when on_subscribe said no, LimitError beyond max_topics_per_connection or
        max_subscriptions, and ConnectionClosed.
        """
        if not self._subscribe(topic, after):
            return sent
        waiter: asyncio.Future[Optional[Resumed]] = asyncio.get_running_loop().create_future()
        if self._resuming is None:
            self._resuming = {}
        self._resuming.setdefault(topic, []).append(waiter)
        return waiter

    def unsubscribe(self, topic: str) -> None:
        """Ends one subscription, given exactly as it was made; what was published before still arrives. Raises NotSubscribedError."""
        self._unsubscribe(topic)
        self._end_resuming(topic, lambda waiter: _fail(waiter, NotSubscribedError("the subscription was ended")))

    def _on_resumed(self, topic: str, resumed: Resumed) -> None:
        self._end_resuming(topic, lambda waiter: waiter.set_result(resumed))

    def _end_resuming(self, topic: str, end: Callable[[asyncio.Future[Optional[Resumed]]], None]) -> None:
        for waiter in (self._resuming or {}).pop(topic, ()):
            if not waiter.done():
                end(waiter)

    # -------------------------------------------------------------------------------------------------------------- closing

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes the connection and waits for its end; what is queued still goes out. Does nothing if it is closed already."""
        self._begin_close(code, reason)
        await self.wait_closed()

    def _begin_close(self, code: int, reason: str) -> None:
        try:
            self._close(code, reason)
        except ConnectionClosed:
            return
        self._reason_sent = reason

    async def wait_closed(self) -> None:
        """Waits until the connection has ended, however it does."""
        if self.close_info is not None:
            return
        if self._closed is None:
            self._closed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._closed)

    def _on_close(self) -> None:
        self._on_drain()
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)
        for waiter in (self._pings or {}).values():
            if not waiter.done():
                waiter.set_exception(closed_exception(self))
        self._pings = None
        for topic in list(self._resuming or ()):
            self._end_resuming(topic, lambda waiter: _fail(waiter, closed_exception(self)))

    # ---------------------------------------------------------------------------------------------------------------- pings

    async def ping(self, data: Union[str, bytes, None] = None) -> float:
        """Sends a ping and waits for its pong: the round trip in seconds. Raises ConnectionClosed if the connection ends before.

        `data` is at most 125 bytes and must differ from that of pings still under way.
        """
        payload = b"%d" % next(_ping_numbers) if data is None else data.encode() if isinstance(data, str) else bytes(data)
        if self._pings is None:
            self._pings = {}
        if payload in self._pings:
            raise ValueError("a ping with the same data is under way")
        try:
            self._ping(payload)
        except ConnectionClosed:
            await self.wait_closed()
            raise closed_exception(self) from None
        waiter: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._pings[payload] = waiter
        try:
            return await waiter
        finally:
            if self._pings is not None:
                self._pings.pop(payload, None)

    def _on_pong(self, round_trip: float, payload: bytes) -> None:
        waiter = (self._pings or {}).get(payload)
        if waiter is not None and not waiter.done():
            waiter.set_result(round_trip)

    # ------------------------------------------------------------------------------------------------------------ questions

    @property
    def open(self) -> bool:
        """Whether messages can be sent."""
        return self.state is State.OPEN

    @property
    def closed(self) -> bool:
        """Whether the connection has ended."""
        return self.state is State.CLOSED

    @property
    def close_code(self) -> Optional[int]:
        """close_info.code, None while the connection has not ended."""
        return self.close_info.code if self.close_info is not None else None

    @property
    def close_reason(self) -> Optional[str]:
        """close_info.reason, None while the connection has not ended."""
        return self.close_info.reason if self.close_info is not None else None


def _fail(waiter: asyncio.Future[Any], error: Exception) -> None:
    """Nobody need have waited."""
    waiter.set_exception(error)
    waiter.exception()


async def _join(pieces: Union[Iterable[Message], AsyncIterable[Message]]) -> Union[str, bytes]:
    """One message from its pieces."""
    if isinstance(pieces, AsyncIterable):
        parts = [piece async for piece in pieces]
    elif isinstance(pieces, Iterable) and not isinstance(pieces, dict):
        parts = list(pieces)
    else:
        raise TypeError(f"a message is str, bytes, or an iterable of pieces, not {type(pieces).__name__}")
    if parts and all(isinstance(part, str) for part in parts):
        return "".join(parts)  # type: ignore[arg-type]
    if any(isinstance(part, str) for part in parts):
        raise TypeError("the pieces of one message must be all str or all bytes")
    return b"".join(parts)  # type: ignore[arg-type]


Handler = Callable[[ServerConnection], Coroutine[Any, Any, Any]]
ProcessRequest = Callable[["Handshake", Request], Any]


class AsyncServer(TopicServer):
    """A running server, as serve() gives it."""

    def __init__(self, handler: Handler, loop: asyncio.AbstractEventLoop, engine: Engine, logger: logging.Logger, max_queue: int) -> None:
        self._handler = handler
        self._loop = loop
        self._engine = engine
        self._logger = logger
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ended: asyncio.Future[None] = loop.create_future()
        self._addresses: list[Any] = []
        engine.attach(loop, max_queue)
        engine.set_handlers({"open": self._on_open, "pong": _on_pong, "drain": ServerConnection._on_drain, "close": _on_close, "resumed": ServerConnection._on_resumed,
                             "log": _settings.log_to(logger), "error": self._on_error, "closed": closed_exception})

    def _start(self, host: Optional[str], unix: Any, sock: Any) -> None:
        self._engine.start()
        self._loop.add_reader(self._engine.event_fd(), self._on_events)
        if self._engine.stored_fd() >= 0:
            self._loop.add_reader(self._engine.stored_fd(), self._engine.deliver_stored)
        if unix is not None:
            self._addresses = [os.fspath(unix)]
        elif isinstance(sock, socket.socket):
            self._addresses = [sock.getsockname()]
        else:
            self._addresses = [(host or "127.0.0.1", self._engine.port())]

    # --------------------------------------------------------------------------------------------------------------- events

    def _on_events(self) -> None:
        if self._engine.dispatch():
            return
        self._loop.remove_reader(self._engine.event_fd())
        if self._engine.stored_fd() >= 0:
            self._loop.remove_reader(self._engine.stored_fd())
        self._engine.stop(0, "", 0, 0)  # joins the workers, which have ended
        if not self._ended.done():
            self._ended.set_result(None)

    def _on_open(self, ws: ServerConnection) -> None:
        task: asyncio.Task[Any] = self._loop.create_task(self._handler(ws))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._on_handled(ws, done))

    def _on_handled(self, ws: ServerConnection, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return ws._begin_close(1001, "")
        error = task.exception()
        if error is None:
            ws._begin_close(1000, "")
        elif isinstance(error, Exception):
            self._on_error(ws, "handler", error)
        else:
            ws._begin_close(1011, "")

    def _on_error(self, ws: Optional[ServerConnection], where: str, error: Exception) -> None:
        if where == "handler" and isinstance(error, ConnectionClosed):
            self._logger.debug("a handler ended with its connection: %s", error)
            code, reason = 1000, ""
        else:
            self._logger.error("%s failed", "connection handler" if where in ("handler", "open") else where, exc_info=error)
            code, reason = 1011, "internal error"
        if ws is not None:
            ws._begin_close(code, reason)

    # ----------------------------------------------------------------------------------------------------------------- life

    def close(self, code: int = 1001, reason: str = "", *, deadline: float = 5.0, spread: float = 0.0) -> None:
        """Stops: no new connections, everyone gets a Close, what is left after `deadline` seconds is aborted.

        Returns at once: wait_closed() waits. Closes are spread over `spread` seconds.
        """
        if not self._ended.done():
            self._engine.request_stop(*_stop_fields(code, reason, deadline, spread))

    async def wait_closed(self) -> None:
        """Waits until every connection has ended and every handler has returned."""
        await asyncio.shield(self._ended)
        while self._tasks:
            others = {task for task in self._tasks if task is not asyncio.current_task()}
            if not others:
                return
            await asyncio.wait(others)

    async def serve_forever(self) -> None:
        """Waits until the server was closed. Cancelled, it closes the server first."""
        try:
            await self.wait_closed()
        except asyncio.CancelledError:
            self.close()
            await self.wait_closed()
            raise

    def flush(self) -> None:
        """Lets what was sent leave now: before something that holds this thread up for long."""
        self._engine.flush()

    async def __aenter__(self) -> AsyncServer:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await self.wait_closed()

    # ------------------------------------------------------------------------------------------------------------ questions

    def is_serving(self) -> bool:
        """Whether new connections are accepted."""
        return not self._ended.done()

    @property
    def port(self) -> int:
        """The TCP port that is listened on; 0 for Unix sockets."""
        return self._engine.port()

    @property
    def addresses(self) -> list[Any]:
        """Where the server listens: (host, port), or the path of a Unix socket."""
        return list(self._addresses)

    @property
    def connections(self) -> set[ServerConnection]:
        """Those that are open or closing."""
        return set(self._engine.connections())

    def metrics(self) -> dict[str, Any]:
        """Totals since the server was made, and levels now; `closed_by_cause` is a dict."""
        return self._engine.metrics()

    def metrics_text(self) -> str:
        """The same and more in Prometheus text format."""
        return self._engine.metrics_text()

    def reload_tls(self, cert: Optional[str] = None, key: Optional[str] = None) -> None:
        """Loads certificate and key again, from these files or the configured ones; open connections go on."""
        self._engine.reload_tls(cert, key)


def _on_pong(ws: ServerConnection, round_trip: float, payload: bytes, _heartbeat: bool) -> None:
    ws._on_pong(round_trip, payload)


def _on_close(ws: ServerConnection, _info: CloseInfo) -> None:
    ws._on_close()


def _asking(process_request: ProcessRequest) -> Callable[[Handshake], None]:
    """The engine's handler for handshakes and plain HTTP: on a worker thread, and answered when it returns."""
    if inspect.iscoroutinefunction(process_request):
        raise TypeError("process_request must be a plain function: it is answered on the spot, on a worker thread")

    def ask(handshake: Handshake) -> None:
        request = Request(handshake.method, handshake.path, handshake.query, handshake.headers)
        answer = process_request(handshake, request)
        if answer is None:
            return
        if inspect.iscoroutine(answer):
            answer.close()
            raise TypeError("process_request returned a coroutine")
        status, headers, body = answer  # as websockets' older interface wants it
        content_type = None
        for name, value in headers.items() if hasattr(headers, "items") else headers or ():
            if name.lower() == "content-type":
                content_type = value
            else:
                handshake.add_header(name, value)
        handshake.respond(int(status), body, content_type)

    return ask


class serve:
    """Starts a server: `async with serve(handler, host, port) as server`, or `server = await serve(handler, host, port)`.

    handler(connection) is a coroutine function, called for each connection; when it returns the connection is closed with 1000, when it
    raises with 1011. Durations are seconds, sizes bytes; None is the default unless it says otherwise.

    host, port, unix, sock: where to listen; host None is 127.0.0.1, port None any free one.
    subprotocols, require_subprotocol: in the order of preference.
    origins: allowed beside the same host, "*" stands for any run of characters.
    heartbeat: seconds, a Heartbeat, or None for none.
    max_size: of an incoming message, None for no limit. max_queue: messages that wait for recv() before reading pauses.
    compression: None, "deflate" or a Deflate.
    ssl: a TLS, or (cert, key).
    process_request(handshake, request): a plain function, called on a worker thread for handshakes and plain HTTP; may refuse with
        handshake.respond(status, text).
    on_subscribe(connection, topic): a plain function that says by True or False whether the connection may subscribe to the topic; called by
        subscribe().
    on_durable(message): a plain function that makes of a Durable what is sent: str, bytes, or None for the data as it was published.
    on_presence(topic, member, present): a plain function that makes what those are sent who watch the topic, or None for nothing. Both are
        called on threads of the library, which wait for them, and cannot use the server.
    nats: where servers meet to share publications: a URL, several, or a Nats.
    slow_consumer: "refuse" lets send() wait; "close", "drop_oldest".
    logger: by default the logger "wsbeat".
    Others, as in docs/configuration.md without the unit: handshake_timeout, close_timeout, auth_timeout, idle_timeout, message_timeout,
    tcp_user_timeout, workers, backlog, max_header_bytes, max_connections, max_connections_per_address, max_messages_per_second,
    max_fragments, max_queue_bytes, max_topics_per_connection, max_subscriptions, max_retained_messages, max_retained_bytes, trusted_proxies,
    app_beat, and proxy_protocol: "off", "trusted" or "required".
    """

    def __init__(
        self,
        handler: Handler,
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
        max_queue: Optional[int] = DEFAULT_MAX_QUEUE,
        slow_consumer: str = "refuse",
        tcp_user_timeout: Optional[float] = None,
        ssl: Union[_settings.TLS, tuple[Any, Any], None] = None,
        process_request: Optional[ProcessRequest] = None,
        on_subscribe: Optional[Callable[[ServerConnection, str], bool]] = None,
        on_durable: Optional[Callable[[Durable], Union[Message, None]]] = None,
        on_presence: Optional[Callable[[str, str, bool], Union[Message, None]]] = None,
        nats: _settings.NatsLike = None,
        logger: Optional[logging.Logger] = None,
        **settings: Any,
    ) -> None:
        if not callable(handler):
            raise TypeError("handler must be a coroutine function that takes a connection")
        self._handler = handler
        self._logger = logger or logging.getLogger("wsbeat")
        self._where = (host, unix, sock)
        self._max_queue = max_queue or 2**31
        self._hooks: dict[str, Optional[Callable[..., object]]] = {"subscribe": on_subscribe, "durable": on_durable, "presence": on_presence}
        for name, hook in self._hooks.items():
            if hook is not None and not callable(hook):
                raise TypeError(f"on_{name} must be a function")
        self._nats = nats
        self._ask = _asking(process_request) if process_request is not None else None
        self._settings = _settings.library_settings(
            host=host, port=port, unix=unix, sock=sock, ssl=ssl, subprotocols=subprotocols, require_subprotocol=require_subprotocol,
            origins=origins, trusted_proxies=trusted_proxies, heartbeat=heartbeat, compression=compression, max_size=max_size,
            max_queue=max_queue, slow_consumer=slow_consumer, tcp_user_timeout=tcp_user_timeout, logger=self._logger, others=settings)
        self._server: Optional[AsyncServer] = None

    async def _start(self) -> AsyncServer:
        engine = Engine(self._settings, ServerConnection)
        if self._ask is not None:
            engine.set_handlers({"handshake": self._ask, "http": self._ask})
        _settings.join_nats(engine, self._nats)
        engine.set_handlers(self._hooks)
        server = AsyncServer(self._handler, asyncio.get_running_loop(), engine, self._logger, self._max_queue)
        server._start(*self._where)
        return server

    def __await__(self) -> Generator[Any, None, AsyncServer]:
        return self._start().__await__()

    async def __aenter__(self) -> AsyncServer:
        self._server = await self._start()
        return self._server

    async def __aexit__(self, *exception: object) -> None:
        assert self._server is not None
        await self._server.__aexit__(*exception)


def unix_serve(handler: Handler, path: Union[str, os.PathLike[str]], **settings: Any) -> serve:
    """serve() on a Unix socket."""
    return serve(handler, unix=path, **settings)
