"""What both faces are told when a server is made, turned into the library's settings."""

from __future__ import annotations

import logging
import math
import os
import socket
import ssl as _ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional, Union

from ._errors import CloseInfo
from ._wsbeat import OFF, ConfigError, Engine, version

DEFAULT_HEARTBEAT_S = 25.0
LIVENESS = ("any", "pong")
SLOW_CONSUMER = ("refuse", "close", "drop_oldest")
CLIENT_CERT = ("none", "optional", "required")


@dataclass(frozen=True)
class Heartbeat:
    """How dead clients are found. Durations in seconds.

    interval: a ping this often. timeout: the answer is due within; None: half the interval.
    liveness: what proves life, "any" byte of the client or only the matching "pong".
    """

    interval: float = DEFAULT_HEARTBEAT_S
    timeout: Optional[float] = None
    liveness: str = "any"


@dataclass(frozen=True)
class TLS:
    """Certificate chain and private key, PEM files. `ca` and `client_cert` ("none", "optional", "required") for client certificates."""

    cert: Union[str, os.PathLike[str]]
    key: Union[str, os.PathLike[str]]
    ca: Union[str, os.PathLike[str], None] = None
    client_cert: str = "none"
    min_version: str = "1.2"


@dataclass(frozen=True)
class Deflate:
    """permessage-deflate (RFC 7692) in detail; `compression="deflate"` is Deflate()."""

    server_max_window_bits: int = 15
    client_max_window_bits: int = 15
    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    level: int = 1
    mem_level: int = 8
    threshold: int = 256


@dataclass(frozen=True)
class Nats:
    """How publications reach other servers over NATS: docs/scaling.md has the whole.

    servers: URLs, "nats://" or "tls://", one text with commas or a sequence; not shown by repr(), since a URL may hold a password.
    prefix: of all subjects; servers with different ones do not meet. name: of the connection, for NATS's monitoring.
    credentials_file: a NATS .creds file. tls_*: trusted issuers, and a client certificate with its key; PEM files.
    buffer_bytes: publications that wait for NATS. refuse_when_down: while it is away they are refused instead of kept.
    ping_interval: seconds; a silent connection is given up after three.
    durable: patterns of topics that are kept in a JetStream stream; of two that overlap one must cover the other. durable_max_bytes,
    durable_max_age: what it keeps, in bytes and whole seconds, math.inf for no such end. durable_replicas: NATS servers that hold it.
    max_replay: a subscription that missed more messages is told so. replay_memory_bytes: of the newest messages, for replays without NATS.
    presence_ttl: seconds, the same on all servers; one that is silent for so long is dead, and its members are gone.
    None is the library's default.
    """

    servers: Union[str, Sequence[str]] = field(default="nats://127.0.0.1:4222", repr=False)
    prefix: Optional[str] = None
    name: Optional[str] = None
    credentials_file: Union[str, os.PathLike[str], None] = None
    tls_ca_file: Union[str, os.PathLike[str], None] = None
    tls_cert_file: Union[str, os.PathLike[str], None] = None
    tls_key_file: Union[str, os.PathLike[str], None] = None
    buffer_bytes: Optional[int] = None
    refuse_when_down: bool = False
    ping_interval: Optional[float] = None
    durable: Union[str, Sequence[str], None] = None
    durable_max_bytes: Optional[int] = None
    durable_max_age: Optional[float] = None
    durable_replicas: Optional[int] = None
    max_replay: Optional[int] = None
    replay_memory_bytes: Optional[int] = None
    presence_ttl: Optional[float] = None


HeartbeatLike = Union[Heartbeat, float, int, None]
CompressionLike = Union[str, Deflate, None]
NatsLike = Union[str, Sequence[str], Mapping[str, Any], Nats, None]


def milliseconds(name: str, seconds: float) -> int:
    """0 would mean "the default" to the library: what is not off is at least one millisecond."""
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool):
        raise TypeError(f"{name} must be a number of seconds")
    if not 0 <= seconds < 4_000_000:
        raise ConfigError(f"{name} is out of range")
    return max(1, round(seconds * 1000))


def whole_seconds(name: str, seconds: float) -> int:
    """At least one, for what the library counts in seconds."""
    milliseconds(name, seconds / 1000 if isinstance(seconds, (int, float)) else seconds)  # is it a number, and in range
    return max(1, round(seconds))


def heartbeat_fields(heartbeat: HeartbeatLike) -> tuple[int, int, int]:
    """(interval_ms, timeout_ms, liveness) for the library."""
    if heartbeat is None or (not isinstance(heartbeat, Heartbeat) and heartbeat == 0):
        return OFF, 0, 0
    if not isinstance(heartbeat, Heartbeat):
        heartbeat = Heartbeat(heartbeat)
    timeout = 0 if heartbeat.timeout is None else milliseconds("heartbeat timeout", heartbeat.timeout)
    return milliseconds("heartbeat", heartbeat.interval), timeout, choice("liveness", heartbeat.liveness, LIVENESS)


def choice(name: str, value: str, values: Sequence[str]) -> int:
    """The index that the library knows it by."""
    if value not in values:
        raise ConfigError(f"{name} must be one of {', '.join(values)}, not {value!r}")
    return values.index(value)


def joined(name: str, values: Union[str, Iterable[Optional[str]]]) -> str:
    """A comma separated list. None among origins means "none at all", which is always allowed."""
    if isinstance(values, str):
        raise TypeError(f"{name} must be a sequence of strings, not one string")
    texts = [value for value in values if value is not None]
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{name} must be a sequence of strings")
        if "," in text:
            raise ConfigError(f"{name}: {text!r} has a comma in it")
    return ",".join(texts)


def add_listening(out: dict[str, Any], host: Optional[str], port: Optional[int], unix: Any, sock: Any) -> None:
    if host is not None:
        out["host"] = host
    if port is not None:
        out["port"] = port
    if unix is not None:
        out["unix_path"] = os.fspath(unix)
    if sock is not None:
        out["listen_fd"] = sock if isinstance(sock, int) else listening_descriptor(sock)


def listening_descriptor(sock: socket.socket) -> int:
    """The library wants a socket that listens already, websockets' users may not have called listen()."""
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.listen()
    return sock.fileno()


def add_tls(out: dict[str, Any], tls: Union[TLS, tuple[Any, Any], None]) -> None:
    if tls is None:
        return
    if isinstance(tls, _ssl.SSLContext):
        raise TypeError("ssl: an SSLContext does not tell its files; use wsbeat.TLS(cert, key) or a tuple of both")
    if isinstance(tls, tuple):
        tls = TLS(*tls)
    if not isinstance(tls, TLS):
        raise TypeError("ssl must be wsbeat.TLS or a tuple (cert, key)")
    if tls.min_version not in ("1.2", "1.3"):
        raise ConfigError(f"min_version must be 1.2 or 1.3, not {tls.min_version!r}")
    out["tls_cert_file"], out["tls_key_file"] = os.fspath(tls.cert), os.fspath(tls.key)
    if tls.ca is not None:
        out["tls_ca_file"] = os.fspath(tls.ca)
    out["tls_client_cert"] = choice("client_cert", tls.client_cert, CLIENT_CERT)
    out["tls_min_version"] = 12 if tls.min_version == "1.2" else 13


def add_compression(out: dict[str, Any], compression: CompressionLike) -> None:
    if compression is None:
        return
    if compression == "deflate":
        compression = Deflate()
    if not isinstance(compression, Deflate):
        raise ConfigError('compression must be None, "deflate" or wsbeat.Deflate')
    out.update(deflate=1, deflate_server_max_window_bits=compression.server_max_window_bits,
               deflate_client_max_window_bits=compression.client_max_window_bits,
               deflate_server_no_context_takeover=compression.server_no_context_takeover,
               deflate_client_no_context_takeover=compression.client_no_context_takeover,
               deflate_level=compression.level, deflate_mem_level=compression.mem_level,
               deflate_threshold_bytes=compression.threshold)


# Seconds under the names of the library's fields without their unit; None is off, or the default where there is no off.
DURATIONS = ("handshake_timeout", "close_timeout", "auth_timeout", "idle_timeout", "message_timeout", "app_beat")
# Words for the library's numbers, in their order.
CHOICES = {"proxy_protocol": ("off", "trusted", "required")}
# Passed on as they are.
NUMBERS = ("backlog", "workers", "max_header_bytes", "max_connections", "max_connections_per_address", "max_messages_per_second",
           "max_fragments", "max_queue_bytes", "max_topics_per_connection", "max_subscriptions", "max_retained_messages", "max_retained_bytes")


def library_settings(*, host: Optional[str], port: Optional[int], unix: Any, sock: Any, ssl: Any, subprotocols: Any, require_subprotocol: bool,
                     origins: Any, trusted_proxies: Any, heartbeat: HeartbeatLike, compression: CompressionLike, max_size: Optional[int],
                     max_queue: Optional[int], slow_consumer: str, tcp_user_timeout: Optional[float], logger: logging.Logger,
                     others: dict[str, Any]) -> dict[str, Any]:
    """All of it under the names of wsb_config."""
    out: dict[str, Any] = {"log_level": log_level(logger)}
    add_listening(out, host, port, unix, sock)
    add_tls(out, ssl)
    add_compression(out, compression)
    out["heartbeat_interval_ms"], out["heartbeat_timeout_ms"], out["heartbeat_liveness"] = heartbeat_fields(heartbeat)
    if subprotocols is not None:
        out["subprotocols"] = joined("subprotocols", subprotocols)
    if origins is not None:
        out["origins"] = joined("origins", origins)
    if trusted_proxies is not None:
        out["trusted_proxies"] = joined("trusted_proxies", trusted_proxies)
    out["require_subprotocol"] = bool(require_subprotocol)
    out["slow_consumer"] = choice("slow_consumer", slow_consumer, SLOW_CONSUMER)
    out["max_message_bytes"] = 1 << 40 if max_size is None else positive("max_size", max_size)
    if max_queue is not None:
        out["max_event_queue_messages"] = positive("max_queue", max_queue)
    if tcp_user_timeout is not None:
        out["tcp_user_timeout_ms"] = OFF if tcp_user_timeout == 0 else milliseconds("tcp_user_timeout", tcp_user_timeout)
    for name, value in others.items():
        if value is None:
            continue
        if name in DURATIONS:
            out[f"{name}_ms"] = milliseconds(name, value)
        elif name in CHOICES:
            out[name] = choice(name, value, CHOICES[name])
        elif name in NUMBERS:
            out[name] = positive(name, value)
        else:
            raise TypeError(f"there is no setting {name!r}")
    return out


def nats_settings(nats: Union[str, Sequence[str], Mapping[str, Any], Nats]) -> dict[str, Any]:
    """All of it under the names of wsb_nats_options."""
    if isinstance(nats, Mapping):
        nats = Nats(**nats)
    elif not isinstance(nats, Nats):
        nats = Nats(nats)
    out: dict[str, Any] = {"servers": nats.servers if isinstance(nats.servers, str) else joined("servers", nats.servers)}
    if not out["servers"]:
        raise ConfigError("nats: no server is named")
    for name in ("prefix", "name"):
        if (text := getattr(nats, name)) is not None:
            out[name] = text
    for name in ("credentials_file", "tls_ca_file", "tls_cert_file", "tls_key_file"):
        if (path := getattr(nats, name)) is not None:
            out[name] = os.fspath(path)
    if nats.durable is not None:
        out["durable"] = nats.durable if isinstance(nats.durable, str) else joined("durable", nats.durable)
    for name in ("buffer_bytes", "durable_max_bytes", "durable_replicas", "max_replay", "replay_memory_bytes"):
        if (number := getattr(nats, name)) is not None:
            out[name] = positive(name, number)
    if nats.durable_max_age is not None:
        out["durable_max_age_s"] = OFF if nats.durable_max_age == math.inf else whole_seconds("durable_max_age", nats.durable_max_age)
    out["refuse_when_down"] = bool(nats.refuse_when_down)
    for name in ("ping_interval", "presence_ttl"):
        if (duration := getattr(nats, name)) is not None:
            out[f"{name}_ms"] = milliseconds(name, duration)
    return out


def join_nats(engine: Engine, nats: NatsLike) -> None:
    """With libwsbeat-nats: the one in this package, else the installed one."""
    if nats is None:
        return
    major, minor, _ = version().split(".")
    name = f"libwsbeat-nats.so.{f'0.{minor}' if major == '0' else major}"
    bundled = Path(__file__).parent / name
    engine.join_nats(str(bundled) if bundled.exists() else name, nats_settings(nats))


def positive(name: str, value: int) -> int:
    """0 would mean "the default" to the library."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer")
    if value <= 0:
        raise ConfigError(f"{name} must be positive")
    return value


def log_level(logger: logging.Logger) -> int:
    level = logger.getEffectiveLevel()
    return 4 if level <= logging.DEBUG else 3 if level <= logging.INFO else 2 if level <= logging.WARNING else 1


def log_to(logger: logging.Logger) -> Any:
    """The handler for the library's own log events."""
    levels = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG}

    def log(level: int, conn: int, text: str) -> None:
        logger.log(levels.get(level, logging.INFO), "%s%s", text, f" (connection {conn})" if conn else "")

    return log


def close_info_of(fields: tuple[Any, ...]) -> CloseInfo:
    return CloseInfo(*fields)
