"""Topics: what both faces' servers can do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Optional, Union

from ._wsbeat import Engine, WsbeatError, error_classes

if TYPE_CHECKING:
    from ._wsbeat import BaseConnection


class Published(NamedTuple):
    """What became of a publication. A connection accepted it as it accepts a message of send().

    reached: connections of this server with a matching subscription whose send queue accepted it.
    refused: those whose queue did not.
    backplane: None: the backplane took it, or there is none; else the error with which it did not: other servers get nothing.
    """

    reached: int
    refused: int
    backplane: Optional[WsbeatError]


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
                exclude: Optional[BaseConnection] = None, local: bool = False) -> Published:
        """Sends one message, str as text and bytes as binary, to every connection that is subscribed to the topic. From any thread.

        retain: it is also kept as the topic's newest message for those who subscribe later; an empty one ends that. exclude: not to this
        connection. local: to this server's connections only. It comes after what this thread has sent before. Raises InvalidError for a
        malformed topic or a pattern, TooBigError for what is to be retained and can never be.
        """
        reached, refused, backplane = self._engine.publish(topic, data, retain, exclude, local)
        return Published(reached, refused, error_of(backplane))
