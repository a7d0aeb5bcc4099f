"""Programs in the documents and examples do what they say."""

import asyncio
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import wsraw

ROOT = Path(__file__).parent.parent.parent
LIMIT_S = 20


def programs():
    found = []
    for name in ("README.md", "docs/python.md", "bindings/python/README.md"):
        text = (ROOT / name).read_text()
        for match in re.finditer(r"^```python\n(.*?)^```$", text, re.S | re.M):
            if "import wsbeat" in match[1]:
                found.append(pytest.param(match[1], id=f"{name}:{text.count(chr(10), 0, match.start()) + 1}"))
    return found


def port_of(process):
    """From its line, or by asking the kernel where it prints none."""
    import select
    if select.select([process.stdout], [], [], 3)[0]:
        return int(re.search(r"(?::|port )(\d+)", process.stdout.readline())[1])
    table = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, timeout=10, check=True).stdout
    return int(re.search(rf"127\.0\.0\.1:(\d+) .*pid={process.pid},", table)[1])


def echo_with(command, status):
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    try:
        with wsraw.connect(port_of(process), timeout=LIMIT_S) as client:
            assert client.command("hello") == "hello"
            client.finish(1000, "bye")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT_S)
        assert process.returncode in status, err
        return out
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("code", programs())
def test_programs_echo(code, tmp_path):
    path = tmp_path / "program.py"
    assert code.count("9001") == 1
    path.write_text(code.replace("9001", "0"))
    out = echo_with([sys.executable, "-u", path], (-signal.SIGINT, 1))
    assert "print" not in code.replace("print(f", "") or "peer_close" in out


@pytest.mark.parametrize("path", sorted((ROOT / "examples/python").glob("*.py")), ids=lambda path: path.name)
def test_examples_echo(path):
    assert "peer_close" in echo_with([sys.executable, "-u", path, "--port", "0"], (0,))


def test_process_request_of_the_page():
    text = (ROOT / "docs/python.md").read_text()
    names = {}
    exec(re.search(r"^```python\n(def process_request.*?)^```$", text, re.S | re.M)[1], names)  # pylint: disable=exec-used

    import wsbeat
    from conftest import connect, in_thread, run

    async def handler(ws):
        await ws.send(ws.user["name"])

    async def main():
        async with wsbeat.serve(handler, "127.0.0.1", 0, process_request=names["process_request"]) as server:
            assert (await in_thread(wsraw.http, server.port, "/healthz")).body == b"OK\n"
            with pytest.raises(wsraw.HandshakeRefused):
                await connect(server)
            with await connect(server, "/?name=me", headers=[("Authorization", "Bearer secret")]) as client:
                assert await in_thread(client.recv_text) == "me"

    run(main())


def test_room_of_the_page():
    import wsbeat
    from conftest import connect, in_thread, run
    text = (ROOT / "docs/python.md").read_text()
    names = {"wsbeat": wsbeat}
    exec(re.search(r"^```python\n(class Room.*?)^```$", text, re.S | re.M)[1], names)  # pylint: disable=exec-used

    async def ready(server):
        with await connect(server) as one, await connect(server) as two:
            while server.metrics()["subscriptions"] != 2:
                await asyncio.sleep(0.005)
            one.send_text("hello")
            assert await in_thread(two.recv_text) == "hello" and await in_thread(one.recv_text) == "1 got it"
            with pytest.raises(wsbeat.RefusedError):
                next(iter(server.connections)).subscribe("secret")

    run(names["Room"]().run(ready))


def test_rooms_of_the_example_are_shared_over_nats(tmp_path):
    import nats
    server = nats.Nats(tmp_path)
    command = [sys.executable, "-u", ROOT / "examples/python/topics_chat.py", "--port", "0", "--nats", server.url]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        ports = [port_of(process) for process in processes]
        with wsraw.connect(ports[0], "/garden") as one, wsraw.connect(ports[1], "/garden") as two, wsraw.connect(ports[1], "/kitchen") as other:
            answered = False
            while not answered:  # they meet a moment after they have started
                assert one.command("hello") == "hello"
                try:
                    answered = two.recv_text(0.05) == "hello"
                except TimeoutError:
                    pass
            assert other.command("nothing came before this") == "nothing came before this"
        with wsraw.connect(ports[0], "/no..room") as client:
            assert client.recv_close()[0] == 1008
    finally:
        for process in processes:
            process.kill()
            process.communicate()
        server.kill()


def test_every_difference_named_in_the_porting_guide_exists():
    """Names of wsbeat in the guide's second column are there."""
    import wsbeat
    text = (ROOT / "docs/porting-from-websockets.md").read_text()
    for name in set(re.findall(r"`wsbeat\.(\w+)", text)) | set(re.findall(r"`([A-Z]\w+Error)`", text)):
        assert hasattr(wsbeat, name), name
    for name in set(re.findall(r"`handshake\.(\w+)", text)):
        assert hasattr(wsbeat.Handshake, name), name
