"""Ends of the process, each in one of its own: whatever a program does, it ends at once, quietly, and its clients hear of it."""

import os
import signal
import subprocess
import sys

import pytest
import wsraw

LIMIT_S = 15

ASYNCIO = """
import asyncio, os, sys, time, threading, signal
import wsbeat
async def handler(ws):
    async for message in ws:
        await ws.send(message)
async def main():
    server = await wsbeat.serve(handler, "127.0.0.1", 0)
    print(server.port, flush=True)
    {body}
asyncio.run(main())
{after}
"""

CALLBACKS = """
import os, sys, time, threading, signal
import wsbeat
server = wsbeat.Server(port=0)
@server.on_message
def on_message(conn, message):
    {on_message}
@server.on_close
def on_close(conn, info):
    print("closed", info.cause, flush=True)
server.start()
print(server.port, flush=True)
{body}
"""


class Program:
    """A Python program that prints its port; ended after the test."""

    def __init__(self, text):
        self.process = subprocess.Popen([sys.executable, "-X", "dev", "-W", "ignore::ResourceWarning", "-c", text], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
        line = self.process.stdout.readline()
        assert line.strip().isdigit(), self.process.communicate(timeout=LIMIT_S)
        self.client = wsraw.connect(int(line))
        assert self.client.command("hello") == "hello"

    def finish(self, status=0, quiet=True):
        out, err = self.process.communicate(timeout=LIMIT_S)
        assert self.process.returncode == status, err
        assert not quiet or err == ""
        return out, err


@pytest.fixture
def program():
    made = []

    def make(text):
        made.append(Program(text))
        return made[-1]

    yield make
    for one in made:
        one.process.kill()
        one.process.communicate()
        one.client.close()


def expect_going_away(client):
    assert client.recv_close()[0] == 1001
    client.send_close(1001)


@pytest.mark.parametrize("body", ["sys.stdin.readline()", "sys.stdin.readline(); sys.exit()",
                                  "sys.stdin.readline(); del server; import gc; gc.collect()",
                                  "threading.Thread(target=sys.stdin.readline).start()"])
def test_the_end_of_the_main_program(program, body):
    running = program(CALLBACKS.format(on_message="conn.send(message)", body=body))
    running.process.stdin.write("\n")
    running.process.stdin.flush()
    expect_going_away(running.client)
    running.finish()


def test_the_end_of_a_loop_with_a_server_in_it(program):
    running = program(ASYNCIO.format(body="await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)", after=""))
    running.process.stdin.write("\n")
    running.process.stdin.flush()
    running.client.recv_all()
    running.finish()


def test_an_exception_ends_the_program_with_its_traceback(program):
    running = program(CALLBACKS.format(on_message="conn.send(message)", body="sys.stdin.readline(); raise LookupError('lost')"))
    running.process.stdin.write("\n")
    running.process.stdin.flush()
    expect_going_away(running.client)
    assert "LookupError: lost" in running.finish(1, quiet=False)[1]


def test_os_exit_ends_at_once(program):
    running = program(CALLBACKS.format(on_message="conn.send(message)", body="sys.stdin.readline(); os._exit(3)"))
    running.process.stdin.write("\n")
    running.process.stdin.flush()
    running.finish(3)


def test_a_callback_that_never_returns(program):
    running = program(CALLBACKS.format(on_message="conn.send(message); server.flush(); message == 'hang' and time.sleep(3600)", body="sys.stdin.readline()"))
    assert running.client.command("hang") == "hang"
    running.process.stdin.write("\n")
    running.process.stdin.flush()
    expect_going_away(running.client)
    running.finish()


def test_threads_that_go_on_sending(program):
    running = program(CALLBACKS.format(
        on_message="conn.send(message); message == 'go' and [threading.Thread(target=flood, args=(conn,), daemon=True).start() for _ in '123']",
        body="""
def flood(conn):
    while True:
        try:
            conn.send(bytes(100))
        except wsbeat.WsbeatError:
            pass
sys.stdin.readline()"""))
    running.client.send_text("go")
    assert {running.client.recv_message() for _ in range(100)} <= {"go", bytes(100)}
    running.process.stdin.write("\n")
    running.process.stdin.flush()
    running.client.recv_all()
    running.finish()


RUN = """
import wsbeat, threading, time
server = wsbeat.Server(port=0)
server.on_message(lambda conn, message: {on_message})
server.on_close(lambda conn, info: print(info.cause, flush=True))
def tell():
    while not server.port:
        time.sleep(0.001)
    print(server.port, flush=True)
threading.Thread(target=tell).start()
try:
    server.run()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("where", ["waiting", "callback"])
def test_keyboard_interrupt_in_run(program, where):
    busy = "conn.send(message) if message == 'hello' else time.sleep(3600)"
    running = program(RUN.format(on_message=busy))
    if where == "callback":
        running.client.send_text("sleep")
    running.client.send_ping(b"there")
    assert running.client.recv_frame().payload == b"there"
    running.process.send_signal(signal.SIGINT)
    expect_going_away(running.client)
    assert running.finish()[0] == "server_stop\ninterrupted\n"


def test_keyboard_interrupt_under_asyncio(program):
    running = program(ASYNCIO.format(body="await server.serve_forever()", after=""))
    running.process.send_signal(signal.SIGINT)
    expect_going_away(running.client)
    assert "KeyboardInterrupt" in running.finish(-signal.SIGINT, quiet=False)[1]


FORK = """
sys.stdin.readline()
conn = server.connections[0]
child = os.fork()
if child == 0:
    for call in (lambda: conn.send("x"), lambda: conn.close(), server.stop, server.start, server.metrics, server.run, lambda: server.reload_tls()):
        try:
            call()
            os._exit(1)
        except wsbeat.StateError as error:
            if "fork" not in str(error):
                os._exit(2)
    other = wsbeat.Server(port=0)
    other.start()
    other.stop()
    del other
    {end}
print("child", os.waitpid(child, 0)[1], flush=True)
conn.send("parent is fine")
sys.stdin.readline()
"""


@pytest.mark.parametrize("end", ["os._exit(0)", "sys.exit(0)", "del server, conn; import gc; gc.collect(); sys.exit(0)"])
def test_a_forked_child_gets_a_clear_error(program, end):
    running = program(CALLBACKS.format(on_message="conn.send(message)", body=FORK.format(end=end)))
    running.process.stdin.write("\n")
    running.process.stdin.flush()
    assert running.process.stdout.readline() == "child 0\n"
    assert running.client.recv_text() == "parent is fine"
    running.process.stdin.write("\n")
    running.process.stdin.flush()
    expect_going_away(running.client)
    running.finish()


def test_nothing_is_left_behind(program):
    """No thread and no descriptor after a server that was stopped."""
    text = """
import gc, os, threading, wsbeat
def state():
    gc.collect()
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
def once():
    with wsbeat.Server(port=0):
        pass
once()
before = state()
for _ in range(20):
    once()
assert state() == before, (state(), before)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_daemon_process_of_multiprocessing(program):
    text = """
import multiprocessing, wsbeat
server = wsbeat.Server(port=0)
server.start()
def child():
    try:
        server.stop()
    except wsbeat.StateError:
        return
    raise SystemExit(1)
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join(10)
assert process.exitcode == 0, process.exitcode
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stderr) == (0, "") and os.getpid() > 0
