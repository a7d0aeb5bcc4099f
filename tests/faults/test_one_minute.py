"""What only a minute shows. These waits are fixed by promises in seconds (idle for 60 s, message_timeout_ms 60,000, TCP_USER_TIMEOUT
30 s), so they all run in one test, side by side: it is the slowest of the suite."""

import time

import pytest
import wsraw
from crowd import Crowd
from endings import LOST, check_end, check_open

IDLE_S = 62.0
MESSAGE_TIMEOUT_S = 60.0
USER_TIMEOUT_S = 30.0
TOO_SLOW = {"cause": "protocol_error", "code": 1006, "code_sent": 1008, "reason": "", "clean": False, "initiator": "local"}
FLAGS = ["--heartbeat-ms", "off", "--commands"]


@pytest.mark.timeout(150)
def test_one_minute(start_server, start_far, tls_flags, network):
    plain, secure, far = start_server(*FLAGS), start_server(*FLAGS, *tls_flags), start_far(*FLAGS)

    # Bytes that are never acknowledged, and bytes that are never taken.
    with network.client():
        unheard, unheard_open = far.connect_open()
    deaf, deaf_open = plain.connect_open(receive_buffer=8192)
    network.drop("to_client")
    unheard.send_text("no echo arrives")
    deaf.send_text("/flood 1000 60000")
    since = time.monotonic()

    with Crowd(plain.port) as crowd, unheard, deaf:
        crowd.open(20)
        secure_clients = [secure.connect() for _ in range(20)]
        slow, slow_open = plain.connect_open()
        slow.send_raw(wsraw.build_frame(wsraw.BINARY, bytes(1000))[:10])
        while time.monotonic() < since + IDLE_S:
            crowd.run(1.0)
            if time.monotonic() < since + MESSAGE_TIMEOUT_S - 2.0:
                slow.send_raw(b"x")

        assert abs(check_end(plain, slow_open["conn"], TOO_SLOW) - since - MESSAGE_TIMEOUT_S) < 1.5
        assert slow.recv_close() == (1008, "message took too long")
        slow.close()
        for server, opened in ((far, unheard_open), (plain, deaf_open)):
            assert -1.0 < check_end(server, opened["conn"], LOST) - since - USER_TIMEOUT_S < 15.0

        check_open(plain, *crowd.conns(plain))
        assert all(member.state == "open" for member in crowd.members)
        assert [event["event"] for event in secure.events] == ["listening"] + ["open"] * 20
        for client in secure_clients:
            client.send_text("a minute later")
            assert client.recv_text() == "a minute later"
            client.close()
