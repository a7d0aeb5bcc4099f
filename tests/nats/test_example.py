"""examples/cluster: one command, and messages cross between two servers behind nginx."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
import wsraw
from conftest import TopicClient, meet, wait_until
from nats import free_port

SCRIPT = Path(__file__).parents[2] / "examples/cluster/run.sh"


class Behind:
    """One of the two, as nginx shows it."""

    def __init__(self, port, path):
        self.port, self.path = port, path

    def connect(self, **options):
        return wsraw.connect(self.port, self.path, **options)


@pytest.fixture
def port(tmp_path):
    number = free_port()
    environment = {**os.environ, "PORT": str(number), "TMPDIR": str(tmp_path)}
    # Where whoever runs the tests may go and nginx's workers may not, they cannot reach the sockets.
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == tmp_path.owner() and folder != Path("/") and "pytest" in str(folder):
            folder.chmod(0o755)
    process = subprocess.Popen([SCRIPT], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == f"http://127.0.0.1:{number}/\n", process.stderr.read()
        yield number
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert list(tmp_path.iterdir()) == [], "it takes away what it made"
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        process.stdout.close()
        process.stderr.close()


def test_the_page_and_the_crossing(port):
    page = wsraw.http(port)
    assert page.status == 200 and page.headers["content-type"] == "text/html" and b"topics.js" in page.body
    one, two = TopicClient(Behind(port, "/ws/1")), TopicClient(Behind(port, "/ws/2"))
    for client in (one, two):
        client.subscribe("demo.>")
    meet([one, two], [one, two], "demo.meet")
    either = TopicClient(Behind(port, "/ws"))
    either.publish("demo.chat", {"text": "to both"})
    for client in (one, two):
        assert client.next_event() == ("demo.chat", {"text": "to both"})
    for script in ("wsbeat.js", "topics.js", "topic_requests.js"):
        served = wsraw.http(port, f"/{script}")
        assert served.status == 200 and served.headers["content-type"] == "text/javascript" and served.body
    last = either.publish("demo.chat", "kept", key="1")["sequence"]
    late = TopicClient(Behind(port, "/ws/2"))
    assert late.subscribe("demo.chat", after=last - 1) == {"type": "acknowledged", "sequence": last}
    assert late.next_event() == ("demo.chat", "kept")
    late.request(type="join", topic="demo.room", member="me")
    assert one.request(type="watch", topic="demo.room")["type"] == "acknowledged"
    wait_until(lambda: one.request(type="watch", topic="demo.room")["members"] == ["me"])
    assert one.subscribe("secret")["code"] == "refused"
    wait_until(lambda: wsraw.http(port, "/nothing").status == 404)
