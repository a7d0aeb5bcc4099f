"""What only a minute shows, by promises in seconds: idle for 60 s, message_timeout_ms 60,000, TCP_USER_TIMEOUT 30 s. The minute begins with
the first test of the suite; these come last."""

import pytest
from endings import LOST, check_end, check_open, check_survived
from minute import IDLE, MESSAGE_TIMEOUT_S

MESSAGE_SLACK_S = 2.0
USER_TIMEOUT_S = 30.0
USER_SLACK_S = 15.0  # the kernel looks when it retransmits or probes, ever more seldom
TOO_SLOW = {"cause": "protocol_error", "code": 1006, "code_sent": 1008, "reason": "", "clean": False, "initiator": "local"}
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def minute(the_minute):
    the_minute.wait()
    return the_minute


def test_idle_plain_connections_live(minute):
    check_open(minute.plain, *minute.crowd.conns(minute.plain))
    assert [member.state for member in minute.crowd.members] == ["open"] * IDLE


def test_idle_tls_connections_live(minute):
    assert [event["event"] for event in minute.secure.events] == ["listening"] + ["open"] * IDLE
    for client in minute.secure_clients:
        client.send_text("a minute later")
        assert client.recv_text() == "a minute later"


def test_a_message_that_takes_too_long_is_ended(minute):
    after = check_end(minute.plain, minute.slow_open["conn"], TOO_SLOW) - minute.since
    assert abs(after - MESSAGE_TIMEOUT_S) < MESSAGE_SLACK_S
    assert minute.slow.recv_close() == (1008, "message took too long")


@pytest.mark.parametrize("which", ["never acknowledged", "never taken"])
def test_bytes_that_the_peer_does_not_get_end_it(minute, which):
    server, opened = (minute.far, minute.unheard_open) if which == "never acknowledged" else (minute.plain, minute.deaf_open)
    assert -1.0 < check_end(server, opened["conn"], LOST) - minute.since - USER_TIMEOUT_S < USER_SLACK_S


def test_the_servers_survived(minute):
    for server in (minute.plain, minute.secure):
        check_survived(server)
    with minute.network.server():
        check_survived(minute.far)
