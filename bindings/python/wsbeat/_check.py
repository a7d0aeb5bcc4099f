"""`python -m wsbeat check URL`: what one connection to a WebSocket server shows about handshake, round trip, heartbeat and close."""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import NoReturn, Optional

from ._client import CLOSE, PING, PONG, CheckError, Client

BAR_COLUMNS = 30
ROUND_TRIPS = 5
REDRAW_S = 0.1


class Report:
    """Lines of the form "heartbeat  ok      a ping after 0.5 s"."""

    def __init__(self) -> None:
        self.failed = False

    def say(self, subject: str, verdict: str, text: str) -> None:
        self.failed = self.failed or verdict == "FAILED"
        print(f"{subject:<11}{verdict:<8}{text}", flush=True)


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def progress(deadline: float, duration: float) -> Optional[Callable[[], None]]:
    """Draws how much of the wait is over; None where nobody would see it."""
    if not sys.stderr.isatty():
        return None

    def draw() -> None:
        share = min(1.0, max(0.0, 1 - (deadline - time.monotonic()) / duration))
        filled = round(share * BAR_COLUMNS)
        left = max(0, math.ceil(deadline - time.monotonic()))
        sys.stderr.write(f"\rwaiting for a ping [{'#' * filled}{'.' * (BAR_COLUMNS - filled)}] {left} s ")
        sys.stderr.flush()

    return draw


def clear_line() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
        sys.stderr.flush()


def check_round_trip(client: Client, report: Report) -> None:
    """Our pings must be answered, with their payload (RFC 6455, 5.5.3)."""
    times = []
    for number in range(ROUND_TRIPS):
        payload = b"check %d %s" % (number, os.urandom(4).hex().encode())
        started = time.monotonic()
        client.send(PING, payload)
        answer = client.receive_until({PONG}, client.timeout)
        if answer is None:
            return report.say("round trip", "FAILED", f"no pong within {client.timeout:g} s")
        if answer[1] != payload:
            return report.say("round trip", "FAILED", "the pong has another payload than the ping")
        times.append(time.monotonic() - started)
    report.say("round trip", "ok", f"{milliseconds(min(times))} least, {milliseconds(statistics.median(times))} median of {ROUND_TRIPS} pings")


def check_heartbeat(client: Client, report: Report, patience: float) -> None:
    """Whether the server pings by itself, and keeps a connection that answers."""
    started = time.monotonic()
    draw = progress(started + patience, patience)
    ping = client.pings.pop(0) if client.pings else None
    while ping is None and time.monotonic() < started + patience:
        if draw is not None:
            draw()
        left = started + patience - time.monotonic()
        frame = client.receive_until({PING, CLOSE}, min(left, REDRAW_S) if draw is not None else left)
        if frame is not None and frame[0] == CLOSE:
            clear_line()
            return report.say("heartbeat", "FAILED", "the server closed a connection that was alive")
        ping = frame[1] if frame is not None else None
    clear_line()
    if ping is None:
        return report.say("heartbeat", "none", f"no ping within {patience:g} s: the server may not notice dead clients, or pings less often")
    waited = time.monotonic() - started
    frame = client.receive_until({CLOSE}, min(1.0, patience))
    if frame is not None:
        return report.say("heartbeat", "FAILED", "the server closed the connection although its ping was answered")
    report.say("heartbeat", "ok", f"a ping after {waited:.1f} s; answered, and the connection goes on")


def check_close(client: Client, report: Report) -> None:
    """The server answers our Close with its own, and ends TCP (RFC 6455, 7.1.1)."""
    started = time.monotonic()
    client.send_close(1000, "check is done")
    frame = client.receive_until({CLOSE}, client.timeout)
    if frame is None:
        return report.say("close", "FAILED", f"no Close within {client.timeout:g} s")
    answered = time.monotonic() - started
    code = int.from_bytes(frame[1][:2], "big") if len(frame[1]) >= 2 else None
    ended = client.wait_for_end(client.timeout)
    told = f"answered with {code if code is not None else 'no code'} after {milliseconds(answered)}"
    if code not in (1000, None):
        return report.say("close", "FAILED", f"{told}: 1000 was to be echoed")
    if not ended:
        return report.say("close", "FAILED", f"{told}, but TCP was still open {client.timeout:g} s later")
    report.say("close", "ok", f"{told}, TCP ended by the server {milliseconds(time.monotonic() - started)} after our Close")


def run_check(arguments: argparse.Namespace) -> int:
    """0: all is well; 1: something is not; 2: no connection."""
    report = Report()
    try:
        with Client(arguments.url, arguments.timeout, arguments.insecure, arguments.subprotocol) as client:
            report.say("handshake", "ok", f"{milliseconds(client.connect_time)} to connect, {milliseconds(client.handshake_time)} to "
                       f"upgrade{', subprotocol ' + client.subprotocol if client.subprotocol else ''}")
            check_round_trip(client, report)
            if arguments.wait > 0:
                check_heartbeat(client, report, arguments.wait)
            check_close(client, report)
    except CheckError as error:
        report.say("connection", "FAILED", str(error))
        return 2 if error.before_open else 1
    except KeyboardInterrupt:
        clear_line()
        return 130
    return int(report.failed)


def add_check_arguments(parser: argparse.ArgumentParser) -> None:
    def seconds(text: str) -> float:
        def refuse() -> NoReturn:
            raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")

        try:
            value = float(text)
        except ValueError:
            refuse()
        if not 0 <= value < 86400:
            refuse()
        return value

    parser.add_argument("url", help="ws://host:port/path or wss://...")
    parser.add_argument("--wait", type=seconds, default=30.0, metavar="S", help="wait so long for the server's ping; 0: do not (default: %(default)g)")
    parser.add_argument("--timeout", type=seconds, default=5.0, metavar="S", help="for every other answer (default: %(default)g)")
    parser.add_argument("--insecure", action="store_true", help="accept any certificate")
    parser.add_argument("--subprotocol", action="append", default=[], metavar="NAME", help="offer this subprotocol; may be repeated")
