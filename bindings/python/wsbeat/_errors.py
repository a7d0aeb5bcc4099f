"""How a connection ended, and the exceptions that tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Optional

from ._wsbeat import ClosedError

if TYPE_CHECKING:
    from ._wsbeat import BaseConnection

_OK_CODES = (1000, 1001, 1005)


class Close(NamedTuple):
    """One Close frame (RFC 6455, 5.5.1). Code 1005: it carried none."""

    code: int
    reason: str

    def __str__(self) -> str:
        return f"{self.code} {self.reason}".rstrip()


class CloseInfo(NamedTuple):
    """What is known about the end of a connection.

    code: received; 1005: the peer's Close carried none; 1006: no Close came.
    reason: received.
    code_sent: of our Close; 0: none was sent; 1005: one without a code.
    clean: a Close was seen in both directions.
    initiator: "local", "remote" or "network".
    cause: one of twelve words, such as "peer_close", "heartbeat_timeout" or "network_error"; docs/close.md has all.
    """

    code: int
    reason: str
    code_sent: int
    clean: bool
    initiator: str
    cause: str


class ConnectionClosed(ClosedError):
    """The connection is closing or closed.

    `info` is the CloseInfo, None while the end is not known yet; `rcvd` and `sent` are the two Close frames, None for one that never was;
    `code` and `reason` are the received ones, as in CloseInfo.
    """

    def __init__(self, info: Optional[CloseInfo] = None, sent_reason: str = "") -> None:
        self.info = info
        self.rcvd = Close(info.code, info.reason) if info is not None and info.code != 1006 else None
        self.sent = Close(info.code_sent, sent_reason) if info is not None and info.code_sent else None
        super().__init__(self._text())

    @property
    def code(self) -> int:
        return self.info.code if self.info is not None else 1006

    @property
    def reason(self) -> str:
        return self.info.reason if self.info is not None else ""

    @property
    def _ends_iteration(self) -> bool:
        return isinstance(self, ConnectionClosedOK)

    def _text(self) -> str:
        if self.info is None:
            return "the connection is closing"
        received = f"received {self.rcvd}" if self.rcvd else "no Close received"
        sent = f"sent {self.sent}" if self.sent else "no Close sent"
        return f"{received}; {sent}; {self.info.cause}"


class ConnectionClosedOK(ConnectionClosed):
    """Closed with a Close in both directions, each with code 1000, 1001 or none."""


class ConnectionClosedError(ConnectionClosed):
    """Closed in any other way."""


def closed_exception(connection: BaseConnection) -> ConnectionClosed:
    """The exception that fits the connection's end."""
    info = connection.close_info
    reason = getattr(connection, "_reason_sent", "")
    if info is None:
        return ConnectionClosed()
    fine = info.clean and info.code in _OK_CODES and info.code_sent in _OK_CODES
    return (ConnectionClosedOK if fine else ConnectionClosedError)(info, reason)
