"""What both faces' connections can do beside sending and receiving."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

from ._settings import HeartbeatLike, heartbeat_fields
from ._wsbeat import OFF

if TYPE_CHECKING:
    from ._wsbeat import BaseConnection as _Base
else:
    _Base = object


class State(enum.IntEnum):
    """State of a connection (RFC 6455, 1.2)."""

    CONNECTING = 0
    OPEN = 1
    CLOSING = 2
    CLOSED = 3


class ConnectionInfo(NamedTuple):
    """A snapshot of one connection. Durations in seconds, sizes in bytes.

    bytes_in and bytes_out are those on the wire (before TLS), without the handshake. idle: since the last byte of the peer; idle_message:
    since the last message either way. peer_port is 0 for Unix sockets. heartbeat_interval is None when the heartbeat is off.
    rtt_* are None before the first pong. topics: how many it is subscribed to.
    """

    state: str
    worker: int
    authenticated: bool
    paused: bool
    tls: bool
    compression: bool
    peer_port: int
    heartbeat_interval: float | None
    heartbeat_timeout: float | None
    heartbeat_waiting: bool
    open_for: float
    idle: float
    idle_message: float
    bytes_in: int
    bytes_out: int
    messages_in: int
    messages_out: int
    buffered: int
    pings_sent: int
    pongs_received: int
    rtt_last: float | None
    rtt_smoothed: float | None
    rtt_min: float | None
    topics: int


def info_of(f: tuple[int | bool | str, ...]) -> ConnectionInfo:
    """From the numbers of wsb_conn_info."""

    def seconds(value: int | bool | str, per_second: float = 1e6) -> float:
        return float(value) / per_second

    off = f[7] == OFF
    return ConnectionInfo._make((
        *f[:7], None if off else seconds(f[7], 1e3), None if off else seconds(f[8], 1e3), f[9],
        *(seconds(value) for value in f[10:13]), *f[13:20], *(seconds(value) or None for value in f[20:23]), f[23]))


class SharedCalls(_Base):
    """Mixed into both faces' connections."""

    __slots__ = ()

    @property
    def state(self) -> State:
        """State.OPEN, CLOSING or CLOSED."""
        return State[self._state.upper()]

    def info(self) -> ConnectionInfo:
        """A snapshot of numbers about this connection. Raises ConnectionClosed once it has ended."""
        return info_of(self._info())

    def abort(self) -> None:
        """Ends the connection now, without a Close frame: the peer sees a reset."""
        self._abort()

    def pause(self) -> None:
        """Stops reading from the peer: no message, pong, Close or end of it is seen, and no heartbeat deadline runs."""
        self._pause()

    def resume(self) -> None:
        """Reads again."""
        self._resume()

    def authenticate(self) -> None:
        """Tells that the peer has proved who it is, which ends `auth_timeout` for it."""
        self._authenticate()

    def set_heartbeat(self, heartbeat: HeartbeatLike) -> None:
        """This connection's heartbeat from now on: seconds, a Heartbeat, or None for none."""
        self._set_heartbeat(*heartbeat_fields(heartbeat))

    def topics(self) -> list[str]:
        """What the connection is subscribed to, in no particular order. Raises ConnectionClosed once it has ended."""
        return self._topics()

    def unsubscribe(self, topic: str) -> None:
        """Ends one subscription, given exactly as it was made; what was published before still arrives. Raises NotSubscribedError."""
        self._unsubscribe(topic)

    def join(self, topic: str, member: str) -> None:
        """Joins a topic under a name of 1 to 255 bytes: it is present there, for those who watch, while any connection of any server has
        joined with it. Joining again under another name replaces the first. Raises InvalidError, LimitError and ConnectionClosed."""
        self._join(topic, member)

    def leave(self, topic: str) -> None:
        """Leaves a topic; the end of the connection does, too. Raises NotSubscribedError."""
        self._leave(topic)

    def watch(self, topic: str) -> None:
        """From now on the connection is sent what on_presence makes of each change on the topic. Who is there already, members() of the
        server tells, called afterwards. Raises InvalidError, LimitError and ConnectionClosed."""
        self._watch(topic)

    def unwatch(self, topic: str) -> None:
        """Ends a watch. Raises NotSubscribedError."""
        self._unwatch(topic)
