"""Topics: what both faces' servers can do with them, and what is told about durable ones."""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import Generator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union

from ._wsbeat import Engine, StateError, WsbeatError, error_classes

if TYPE_CHECKING:
    from ._wsbeat import BaseConnection

    _StoredFuture = Future["Stored"]
else:
    _StoredFuture = Future


class Resumed(NamedTuple):
    """A subscription with durable topics has reached the present.

    sequence: durable messages up to this one came before, later ones follow. replayed: so many were sent for it.
    missed: not all that came after `after` is kept, or it is more than may be replayed: nothing was sent of it.
    """

    sequence: int
    replayed: int
    missed: bool


class Durable(NamedTuple):
    """A message of a durable topic, for on_durable to make of it what is sent.

    sequence: its place among all durable messages. subscription: the one whose replay it belongs to; None: a new message, for all.
    """

    topic: str
    data: Union[str, bytes]
    sequence: int
    subscription: Optional[str]


class Stored(NamedTuple):
    """What became of a publication to a durable topic: it is stored, and every subscriber will get it.

    sequence: its place. duplicate: one with this key was stored before, at `sequence` if that is known (else 0), and this one was not.
    """

    sequence: int
    duplicate: bool


class StoredFuture(_StoredFuture):
    """A concurrent.futures.Future of a Stored, which can be awaited too.

    It is settled by the thread that delivers the server's events: there, await it, or add_done_callback(); to block would be a StateError.
    Its exception is an OperatingSystemError if the message was not stored, a StateError if the server stopped before that was known.
    """

    def __init__(self, server: weakref.ref[TopicServer]) -> None:
        super().__init__()
        self._server = server
        self.set_running_or_notify_cancel()  # what is under way cannot be cancelled

    def _settle(self, code: int, sequence: int, duplicate: bool) -> None:
        error = error_of(code)
        if error is None:
            self.set_result(Stored(sequence, duplicate))
        else:
            self.set_exception(error)

    def _check_thread(self) -> None:
        server = self._server()
        if server is not None and not self.done() and server._engine.on_event_thread():
            raise StateError("the thread of the server's events would wait for itself: await the future, or add_done_callback()")

    def result(self, timeout: Optional[float] = None) -> Stored:
        """The Stored, waited for at most so many seconds; raises TimeoutError, and what went wrong."""
        self._check_thread()
        return super().result(timeout)

    def exception(self, timeout: Optional[float] = None) -> Optional[BaseException]:
        """What went wrong, None if nothing did; waits as result() does."""
        self._check_thread()
        return super().exception(timeout)

    def __await__(self) -> Generator[Any, None, Stored]:
        return asyncio.wrap_future(self).__await__()


class Published(NamedTuple):
    """What became of a publication. A connection accepted it as it accepts a message of send().

    reached: connections of this server with a matching subscription whose send queue accepted it.
    refused: those whose queue did not.
    backplane: None: the backplane took it, or there is none; else the error with which it did not: other servers get nothing.
    stored: for a durable topic, whose messages reach nobody before they are stored, a future of a Stored; else None.
    """

    reached: int
    refused: int
    backplane: Optional[WsbeatError]
    stored: Optional[StoredFuture] = None


def error_of(code: int) -> Optional[WsbeatError]:
    """The exception for an error of the library, None for 0."""
    if code == 0:
        return None
    kind = error_classes[code]
    return kind(kind.__doc__)


class TopicServer:
    """Mixed into both faces' servers."""

    _engine: Engine

    def publish(self, topic: str, data: Union[str, bytes, bytearray, memoryview], *, retain: bool = False,
                exclude: Optional[BaseConnection] = None, local: bool = False, key: Optional[str] = None) -> Published:
        """Sends one message, str as text and bytes as binary, to every connection that is subscribed to the topic. From any thread.

        retain: it is also kept as the topic's newest message for those who subscribe later; an empty one ends that. exclude: not to this
        connection. local: to this server's connections only. key: for durable topics, 1 to 128 visible ASCII characters; of all messages
        published with one key within two minutes only the first is stored. It comes after what this thread has sent before. Raises
        InvalidError for a malformed topic or a pattern, TooBigError for what is to be retained and can never be.
        """
        reached, refused, backplane, stored = self._engine.publish(topic, data, retain, exclude, local, key, self._stored_future)
        return Published(reached, refused, error_of(backplane), stored)

    @functools.cached_property
    def _stored_future(self) -> functools.partial[StoredFuture]:
        return functools.partial(StoredFuture, weakref.ref(self))

    def members(self, topic: str) -> list[str]:
        """The names that are present on a topic, in no particular order: all of them while a connection of this server watches it, else
        those of this server's own connections."""
        return self._engine.members(topic)
