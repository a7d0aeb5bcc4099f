"""What keeps the program from starting: exit code 1 and one clear line. What keeps its output from being read: nothing but a line."""

import os
import signal
import socket
import subprocess
import time

import certificates
import pytest
import server as support
import wsraw


def fails_to_start(*flags):
    """The one line on stderr."""
    result = support.run("--port", "0", *flags)
    assert (result.returncode, result.stdout) == (1, ""), result
    assert result.stderr.count("\n") == 1 and result.stderr.endswith("\n"), result.stderr
    assert result.stderr.startswith("wsbeat-server: ")
    return result.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_port_in_use_by_another_program(workers):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = fails_to_start("--port", port, "--workers", workers)
        assert str(port) in line and "in use" in line


@pytest.mark.parametrize("first", ["1", "2"])
@pytest.mark.parametrize("second", ["1", "2"])
def test_port_in_use_by_ourselves(start_server, first, second):
    running = start_server("--workers", first)
    line = fails_to_start("--port", running.port, "--workers", second)
    assert str(running.port) in line and "in use" in line


def test_unix_path_in_use_and_stale(start_server, tmp_path):
    path = tmp_path / "socket"
    running = start_server("--unix", path)
    assert "in use" in fails_to_start("--unix", path)
    assert running.stop() == 0
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    assert path.exists()
    start_server("--unix", path).connect().finish()


def test_address_that_is_not_ours():
    assert "192.0.2.1" in fails_to_start("--host", "192.0.2.1")


def wait_until_refused(path):
    deadline = time.monotonic() + 5.0
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) != 0:
                return
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_successor_keeps_its_unix_socket(start_server, tmp_path):
    """A server that takes its time to stop leaves the path alone once another has it."""
    path = tmp_path / "socket"
    first = start_server("--stop-deadline-ms", "20000", "--close-timeout-ms", "1000", "--unix", path)
    mute = first.connect()  # it does not answer the Close, which holds the stop up
    first.send_signal(signal.SIGTERM)
    wait_until_refused(path)
    second = start_server("--unix", path)
    assert first.running()
    assert first.wait() == 0
    mute.close()
    second.connect().finish()
    assert second.stop() == 0
    assert not path.exists()


def test_unix_path_in_no_directory(tmp_path):
    path = tmp_path / "missing" / "socket"
    assert str(path) in fails_to_start("--unix", path)


@pytest.mark.parametrize("fault", ["missing", "garbage", "directory", "empty", "swapped", "other_key"])
def test_bad_certificate_or_key(certificate, tmp_path, fault):
    good, key = certificate
    bad = tmp_path / "bad.pem"
    if fault == "garbage":
        bad.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    elif fault == "directory":
        bad.mkdir()
    elif fault == "empty":
        bad.touch()
    pairs = [(good, bad), (bad, key)]
    if fault == "swapped":
        pairs = [(key, good)]
    elif fault == "other_key":
        pairs = [(good, certificates.make(tmp_path, "other")[1])]
    for pair in pairs:
        line = fails_to_start("--tls-cert", pair[0], "--tls-key", pair[1])
        assert str(pair[0]) in line or str(pair[1]) in line, line


def start_with_output(output, path, *flags):
    """The program with its events going to `output`, once it accepts connections at `path`."""
    process = subprocess.Popen([support.binary(), "--unix", str(path), "--events", "--commands", *flags], stdin=subprocess.DEVNULL,
                               stdout=output, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + support.START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            wsraw.connect(unix=path).finish()
            return process
        except OSError:
            time.sleep(0.02)
    process.kill()
    raise AssertionError(process.communicate()[1])


def serves_and_stops(process, path):
    """Its stderr, after many events and a graceful stop."""
    try:
        for _ in range(50):
            with wsraw.connect(unix=path) as client:
                client.send_text("nobody reads about this")
                assert client.recv_text() == "nobody reads about this"
                assert client.finish(1000, "bye") == (1000, "")
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=support.STOP_TIMEOUT_S)
        assert process.returncode == 0, stderr
        return stderr
    finally:
        process.kill()
        process.wait()


def test_disk_full_stdout(tmp_path):
    path = tmp_path / "socket"
    with open("/dev/full", "wb", buffering=0) as full:
        process = start_with_output(full, path, "--quiet")
    stderr = serves_and_stops(process, path)
    assert stderr.count("\n") == 1 and "No space left on device" in stderr, stderr


def test_stdout_pipe_closed(tmp_path):
    path = tmp_path / "socket"
    reader, writer = os.pipe()
    process = start_with_output(writer, path, "--quiet")
    os.close(writer)
    os.close(reader)
    stderr = serves_and_stops(process, path)
    assert stderr.count("\n") == 1 and "Broken pipe" in stderr, stderr


def test_stdout_pipe_that_nobody_reads(tmp_path):
    """The pipe fills up; serving does not wait for it."""
    path = tmp_path / "socket"
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        while True:
            try:
                os.write(writer, bytes(4096))
            except BlockingIOError:
                break
        os.set_blocking(writer, True)
        process = start_with_output(writer, path, "--quiet")
        os.close(writer)
        writer = None
        stderr = serves_and_stops(process, path)
        assert stderr.count("\n") <= 1, stderr
    finally:
        os.close(reader)
        if writer is not None:
            os.close(writer)


def test_no_stdout_at_all(tmp_path):
    """Descriptor 1 is closed: events must not end up in a socket that got its number."""
    path = tmp_path / "socket"
    command = ["sh", "-c", 'exec "$0" "$@" >&-', support.binary(), "--unix", str(path), "--events", "--commands", "--quiet"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + support.START_TIMEOUT_S
    while not path.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    serves_and_stops(process, path)
