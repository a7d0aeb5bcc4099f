"""What plain topics promise when something fails: local delivery always goes on, nothing comes twice, and all meet again by themselves."""

import json
import signal
import time

import certificates
import netns
import pytest
from conftest import TopicClient, is_up, meet, wait_until
from nats import free_port
from server import run
from topics import SUBPROTOCOL

DONE = {"type": "acknowledged"}


def metric(instance, name):
    return int(instance.http("/metrics").body.decode().split(f"\n{name} ")[1].split("\n")[0])


class Gone:
    """Where NATS will be, or was."""

    def __init__(self):
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"


def test_without_nats_at_the_start(start_nats, join):
    gone = Gone()
    here, there = (join(gone, wait=False) for _ in range(2))
    here.wait_stderr("backplane: cannot reach NATS")
    assert here.http("/healthz").status == 200 and b"nats: down" in here.http("/healthz").body
    sender, near, far = TopicClient(here), TopicClient(here), TopicClient(there)
    for client in (near, far):
        client.subscribe("meet")
    assert sender.publish("meet", "kept") == DONE | {"reached": 1, "refused": 0}
    assert near.next_event() == ("meet", "kept")
    start_nats(port=gone.port)
    for instance in (here, there):
        wait_until(lambda: is_up(instance))
        assert metric(instance, "wsbeat_backplane_up") == 1
    meet([sender], [near, far])


def test_what_is_kept_is_bounded(join):
    here = join(Gone(), "--nats-buffer-bytes", "10000", wait=False)
    sender = TopicClient(here)
    answers = [sender.publish("t", 1000 * "x") for _ in range(20)]
    kept = [answer for answer in answers if "crossed" not in answer]
    assert 5 <= len(kept) <= 9 and answers[len(kept):] == (20 - len(kept)) * [DONE | {"reached": 0, "refused": 0, "crossed": False}]
    assert metric(here, "wsbeat_backplane_published_total") == len(kept)
    assert metric(here, "wsbeat_backplane_refused_total") == 20 - len(kept)


def test_or_refused(join):
    sender = TopicClient(join(Gone(), "--nats-buffer-bytes", "off", wait=False))
    assert sender.publish("t", 1)["crossed"] is False


def test_stopping_does_not_wait_for_nats(join):
    here = join(Gone(), wait=False)
    TopicClient(here).publish("t", 1)
    before = time.monotonic()
    assert here.stop() == 0
    assert time.monotonic() - before < 5


def test_what_was_published_before_the_stop_leaves(start_nats, join):
    server = start_nats()
    here, there = join(server), join(server)
    sender, receiver = TopicClient(here), TopicClient(there)
    receiver.subscribe("meet")
    meet([sender], [receiver])
    for number in range(500):
        sender.send(type="publish", topic="meet", data=number)
    sender.publish("meet", "last")
    sender.close()
    assert here.stop() == 0
    assert [receiver.next_event()[1] for _ in range(501)] == [*range(500), "last"]


def test_nats_restarts(start_nats, join):
    """Meanwhile local delivery goes on; what is published meanwhile is kept and comes once, in order, when all are back."""
    server = start_nats()
    here, there = join(server), join(server)
    sender, near, far = TopicClient(here), TopicClient(here), TopicClient(there)
    for client in (near, far):
        client.subscribe("meet")
        client.subscribe("*")
    meet([sender], [near, far])
    server.kill()
    for instance in (here, there):
        wait_until(lambda: not is_up(instance))
        instance.wait_stderr("backplane: disconnected from NATS")
    for number in range(50):
        assert sender.publish("meet", number)["reached"] == 1
    assert [near.next_event()[1] for _ in range(50)] == list(range(50))
    server.start()
    assert [far.next_event()[1] for _ in range(50)] == list(range(50))
    for client in (near, far):
        client.no_event()
    meet([sender], [near, far])


def test_a_node_of_a_cluster_is_killed(start_nats, join):
    """The server that was connected to it goes to another. What was on its way in the node is lost; nothing comes twice or out of order."""
    nodes = start_nats.cluster(3)
    here, there = join(nodes[0]), join(nodes[2])  # they learn of the others from these
    sender, far = TopicClient(here), TopicClient(there)
    for pattern in ("meet", "*"):
        far.subscribe(pattern)
    meet([sender], [far])
    published, after = 0, None
    nodes[0].kill()
    while after is None or published < after + 300:
        sender.publish("meet", published)
        published += 1
        if after is None and is_up(here) and "disconnected from NATS" in here.stderr:
            after = published
        elif after is None:
            time.sleep(0.001)
    numbers = []
    while not numbers or numbers[-1] != published - 1:
        numbers.append(far.next_event()[1])
    assert numbers == sorted(set(numbers))
    assert numbers[-300:] == list(range(published - 300, published)), "all that was published since"
    far.no_event()


def test_a_server_is_killed(start_nats, join):
    monitor = free_port()
    server = start_nats("-m", monitor)
    here, there, dies = join(server), join(server), join(server)
    sender, far, lost = TopicClient(here), TopicClient(there), TopicClient(dies)
    for client in (far, lost):
        client.subscribe("meet")
    meet([sender], [far, lost])
    dies.process.send_signal(signal.SIGKILL)
    dies.process.wait(10)
    for number in range(100):
        sender.publish("meet", number)
    assert [far.next_event()[1] for _ in range(100)] == list(range(100))
    again = TopicClient(join(server))
    again.subscribe("meet")
    meet([sender], [far, again])


@pytest.mark.skipif(netns.unavailable() is not None, reason="no network namespaces here")
def test_the_network_is_cut(start_nats, start_server):
    """Silence is noticed within three pings; nobody's local delivery waits for it, and nothing comes twice afterwards."""
    with netns.Network() as network:
        server = start_nats(prefix=["ip", "netns", "exec", network.client_side], host="0.0.0.0")
        url = f"nats://{network.CLIENT}:{server.port}"
        here = start_server("--topics", "--nats", url, prefix=network.on_server)
        there = start_server("--topics", "--nats", url, prefix=["ip", "netns", "exec", network.client_side])
        with network.server():
            wait_until(lambda: is_up(here))
            sender, near = TopicClient(here), TopicClient(here)
        with network.client():
            wait_until(lambda: is_up(there))
            far = TopicClient(there)
        for client in (near, far):
            client.subscribe("meet")
        meet([sender], [near, far])
        network.drop()
        slowest = 0.0
        text = 20000 * "x"
        for number in range(300):  # more than the sockets between hold
            before = time.monotonic()
            assert sender.publish("meet", [number, text])["reached"] == 1
            assert near.next_event()[1][0] == number
            slowest = max(slowest, time.monotonic() - before)
        assert slowest < 1.0
        with network.server():
            before = time.monotonic()
            wait_until(lambda: not is_up(here), timeout=25)
            network.pass_again()
            wait_until(lambda: is_up(here))
        sender.publish("meet", ["last", ""])
        numbers = []
        while not numbers or numbers[-1] != "last":
            numbers.append(far.next_event()[1][0])
        assert numbers[:-1] == sorted(set(numbers[:-1])), "in order, none twice; what was under way may be missing"


def test_a_slow_receiver_holds_nobody_up(start_nats, join):
    server = start_nats()
    here, there = join(server), join(server, "--max-queue-bytes", "65536", "--slow-consumer", "close", "--close-timeout-ms", "500")
    sender, quick = TopicClient(here), TopicClient(there)
    quick.subscribe("meet")
    meet([sender], [quick])
    slow = there.connect(subprotocols=[SUBPROTOCOL], receive_buffer=4096)
    slow.send_text('{"type":"subscribe","topic":"meet","id":1}')
    assert json.loads(slow.recv_text())["type"] == "acknowledged"
    for number in range(2000):
        sender.send(type="publish", topic="meet", data=[number, 10000 * "x"])
        assert quick.next_event()[1][0] == number
    there.wait_event("close", cause="slow_consumer")


def test_passwords(start_nats, join):
    server = start_nats("--user", "wsbeat", "--pass", "secret")
    stranger = join(server, wait=False)
    stranger.wait_stderr("backplane: ")
    assert not is_up(stranger)
    server.host = "wsbeat:secret@127.0.0.1"
    friend = join(server)
    assert friend.stop() == 0
    assert "secret" not in friend.stderr


def test_tls(start_nats, join, tmp_path):
    certificate, key = certificates.make(tmp_path, "nats")
    server = start_nats("--tls", "--tlscert", certificate, "--tlskey", key)
    trusting, doubting = join(server, "--nats-ca", certificate), join(server, wait=False)
    doubting.wait_stderr("backplane: cannot reach NATS")
    assert is_up(trusting) and not is_up(doubting)


@pytest.mark.parametrize("flags,named", [
    (["--nats", "nats://127.0.0.1:1", "--nats-ca", "/nonexistent.pem"], "--nats-ca"),
    (["--nats", "nats://127.0.0.1:1", "--nats-cert", "/nonexistent.pem"], "--nats-key"),
    (["--nats", ", "], "--nats"),
])
def test_wrong_settings_are_told(flags, named):
    result = run("--port", "0", *flags)
    assert result.returncode == 1 and named in result.stderr and result.stderr.count("\n") == 1
