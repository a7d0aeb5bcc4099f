"""Code in the documents: every block compiles, and complete programs do what the page says."""

import ctypes.util
import json
import os
import re
import socket
import subprocess
import sys
import time

import pytest
import wsraw
from documents import LIBDIR, ROOT, VERSION, blocks, program

LIMIT_S = 30
WARNINGS = ["-std=gnu11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{ROOT}/include"]
ENVIRONMENT = {**os.environ, "LD_LIBRARY_PATH": str(LIBDIR), "PYTHONDONTWRITEBYTECODE": "1"}

# What pieces of code may take for granted: a server of theirs, and an application around it.
PRELUDE = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wsbeat/wsbeat.h>
extern wsb_server *server;
extern wsb_config config;
extern wsb_callbacks callbacks;
extern wsb_conn conn;
struct app { wsb_server *server; };
struct session { int used; };
struct broadcast { wsb_server *server; wsb_message *message; };
struct account;
struct account *find_account(struct app *app, const char *token);
int is_authenticated(struct app *app, void *conn_user);
int token_is_right(struct app *app, const uint8_t *token, size_t length);
void handle(struct app *app, const wsb_message_event *event);
void keep(struct app *app, const wsb_message_event *event);
int send_kept(struct app *app, wsb_conn conn);
const void *next_record(struct app *app, size_t *length);
void take_record(struct app *app);
"""


def parameters(language):
    return [pytest.param(code, id=where) for where, code in blocks(language)]


def compile_c(code, folder, *options):
    source = folder / "block.c"
    source.write_text(code)
    done = subprocess.run(["cc", *WARNINGS, source, *options], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def build(code, folder):
    compile_c(code, folder, "-o", "program", f"-L{LIBDIR}", "-lwsbeat", f"-Wl,-rpath-link,{LIBDIR}")
    return folder / "program"


@pytest.mark.parametrize("code", parameters("c"))
def test_c_blocks_compile(code, tmp_path):
    """A block with main is a whole program and links. Others are pieces: functions of a file, or statements of a function."""
    if "int main(" in code:
        build(code, tmp_path)
    elif re.search(r"^static [\w *]+\(.*\) \{$", code, re.M):
        compile_c(PRELUDE + code, tmp_path, "-c", "-Wno-unused-function")
    else:
        compile_c(f"{PRELUDE}void piece(void);\nvoid piece(void) {{\n{code}\n}}\n", tmp_path, "-c")


@pytest.mark.parametrize("code", parameters("python"))
def test_python_blocks_compile(code):
    compile(code, "block", "exec")


@pytest.mark.parametrize("code", parameters("sh"))
def test_shell_blocks_parse(code):
    done = subprocess.run(["bash", "-n"], input=code, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("code", parameters("json"))
def test_json_blocks_are_one_object_a_line(code):
    assert all(isinstance(json.loads(line), dict) for line in code.splitlines())


@pytest.fixture
def start():
    """Starts a command with pipes; ended after the test."""
    started = []

    def start_one(*command):
        started.append(subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT))
        return started[-1]

    yield start_one
    for process in started:
        process.kill()
        process.communicate()


def check_echo_until_enter(process):
    """The README's programs: a line with the address, an echo, a line when a client closes, and an end at Enter."""
    port = int(re.fullmatch(r"ws://127\.0\.0\.1:(\d+)/ until Enter is pressed\n", process.stdout.readline())[1])
    with wsraw.connect(port, timeout=LIMIT_S) as client:
        assert client.command("hello") == "hello"
        assert client.finish(4000, "bye") == (4000, "")
    closed = process.stdout.readline()
    with wsraw.connect(port, timeout=LIMIT_S) as client:
        process.stdin.write("\n")
        process.stdin.flush()
        assert client.recv_close() == (1001, "server is closing")
        client.send_close(1001)
    output, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0
    return [closed, *output.splitlines(keepends=True)]


def any_port(code):
    assert code.count("9001") == 1
    return code.replace("9001", "0")


def test_the_first_program_in_c(start, tmp_path):
    path = build(any_port(program("c", "README.md", "int main(")), tmp_path)
    assert check_echo_until_enter(start("stdbuf", "-oL", path)) == [
        "closed: code 4000, remote, peer_close\n", "closed: code 1001, local, server_stop\n"]


def test_the_program_through_ctypes(start, tmp_path):
    path = tmp_path / "program.py"
    path.write_text(any_port(program("python", "docs/embedding-in-c.md", "ctypes")))
    assert check_echo_until_enter(start(sys.executable, "-u", path)) == ["closed: 4000 peer_close\n", "closed: 1001 server_stop\n"]


def test_the_program_with_its_own_loop(start, tmp_path):
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    code = program("c", "docs/embedding-in-c.md", "wsb_server_event_fd")
    assert code.count("9001") == 1
    process = start(build(code.replace("9001", str(port)), tmp_path))
    deadline = time.monotonic() + LIMIT_S
    while True:
        try:
            client = wsraw.connect(port, timeout=LIMIT_S)
            break
        except ConnectionRefusedError:
            assert process.poll() is None and time.monotonic() < deadline
    with client:
        assert client.command("hello") == "hello"
        client.finish(1000, "bye")
    assert process.wait(LIMIT_S) == 0


def test_the_program_with_dlopen(start, tmp_path):
    path = build(program("c", "docs/embedding-in-c.md", "dlopen"), tmp_path)
    assert start(path).communicate(timeout=LIMIT_S)[0] == f"wsbeat {VERSION}\n"


# ------------------------------------------------------------------------------------------------------- memory of compression

class Stream(ctypes.Structure):
    """z_stream of zlib.h."""

    ALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    FREE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
    _fields_ = [("next_in", ctypes.c_char_p), ("avail_in", ctypes.c_uint), ("total_in", ctypes.c_ulong),
                ("next_out", ctypes.c_void_p), ("avail_out", ctypes.c_uint), ("total_out", ctypes.c_ulong),
                ("msg", ctypes.c_char_p), ("state", ctypes.c_void_p), ("zalloc", ALLOC), ("zfree", FREE), ("opaque", ctypes.c_void_p),
                ("data_type", ctypes.c_int), ("adler", ctypes.c_ulong), ("reserved", ctypes.c_ulong)]


def zlib_bytes(use):
    """What zlib allocates while `use(zlib, stream)` runs."""
    zlib = ctypes.CDLL(ctypes.util.find_library("z"))
    held = []

    @Stream.ALLOC
    def allocate(_opaque, items, size):
        held.append(ctypes.create_string_buffer(items * size))
        return ctypes.addressof(held[-1])

    stream = Stream(zalloc=allocate, zfree=Stream.FREE(lambda _opaque, _address: None))
    use(zlib, stream)
    return sum(map(len, held))


def deflating(bits, mem_level):
    def use(zlib, stream):
        assert zlib.deflateInit2_(ctypes.byref(stream), 1, 8, -bits, mem_level, 0, b"1", ctypes.sizeof(stream)) == 0

    return zlib_bytes(use)


def inflating(bits):
    def use(zlib, stream):
        out = ctypes.create_string_buffer(64)
        stream.next_in, stream.avail_in = bytes.fromhex("f248cdc9c90700"), 7  # "Hello" (RFC 7692, 7.2.3.1)
        stream.next_out, stream.avail_out = ctypes.addressof(out), len(out)
        assert zlib.inflateInit2_(ctypes.byref(stream), -bits, b"1", ctypes.sizeof(stream)) == 0
        assert zlib.inflate(ctypes.byref(stream), 2) == 0 and out.value == b"Hello"

    return zlib_bytes(use)


def test_memory_of_compression():
    """The table of docs/flow-control.md against zlib itself; another version of it may differ a little."""
    text = (ROOT / "docs/flow-control.md").read_text()
    table = re.findall(r"^\| (\d+)(?: \(default\))? \| (\d+)(?: \(default\))? \| (\d+) KiB \| (\d+) KiB \|$", text, re.M)
    assert len(table) == 5
    for bits, mem_level, sending, receiving in (map(int, row) for row in table):
        assert deflating(bits, mem_level) / 1024 == pytest.approx(sending, rel=0.1)
        assert inflating(bits) / 1024 == pytest.approx(receiving, rel=0.1)
