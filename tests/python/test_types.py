"""Names, documentation, and types: the stubs against mypy and against the module as it runs."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import wsbeat

PACKAGE = Path(wsbeat.__file__).parent
ROOT = Path(__file__).parent.parent.parent
MYPY = "/usr/bin/python3"


def run(*command, **environment):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=110, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_public_name_is_there_and_documented():
    assert sorted(wsbeat.__all__, key=str.lower) == sorted(set(wsbeat.__all__), key=str.lower)
    for name in wsbeat.__all__:
        assert (getattr(wsbeat, name).__doc__ or "").strip(), name


@pytest.mark.parametrize("kind", [wsbeat.AsyncServer, wsbeat.Connection, wsbeat.Handshake, wsbeat.Headers, wsbeat.Server, wsbeat.ServerConnection])
def test_every_public_member_is_documented(kind):
    own = [name for name in dir(kind) if not name.startswith("_") and name not in ("get", "items", "keys", "values")]
    assert own
    for name in own:
        member = inspect.getattr_static(kind, name)
        assert (inspect.getdoc(member) or "").strip(), f"{kind.__name__}.{name}"


def test_help_shows_signatures():
    for method in (wsbeat.ServerConnection.send, wsbeat.ServerConnection.recv, wsbeat.Connection.send):
        assert inspect.signature(method)
    assert "heartbeat" in inspect.signature(wsbeat.serve).parameters


def test_the_package_is_marked_as_typed():
    assert (PACKAGE / "py.typed").exists() and (PACKAGE / "_wsbeat.pyi").exists()


def test_mypy_strict(tmp_path):
    """The package and the examples."""
    examples = sorted((ROOT / "examples" / "python").glob("*.py"))
    assert examples
    run(MYPY, "-m", "mypy", "--strict", "--python-version", "3.9", "--cache-dir", tmp_path, *sorted(PACKAGE.glob("*.py")),
        PACKAGE / "_wsbeat.pyi", *examples, MYPYPATH=PACKAGE.parent)


def test_stubs_are_what_runs(tmp_path):
    allowed = tmp_path / "allowed"
    # pybind11's classes: their metaclass and their generic __init__.
    allowed.write_text("wsbeat._wsbeat.Engine\nwsbeat._wsbeat.Handshake\nwsbeat._wsbeat.Handshake.__init__\n")
    run(sys.executable, "/usr/bin/stubtest", "--allowlist", allowed, "wsbeat._wsbeat")


def test_annotations_can_be_resolved():
    import typing
    for function in (wsbeat.CloseInfo, wsbeat.Heartbeat, wsbeat.TLS, wsbeat.Deflate):
        assert typing.get_type_hints(function)
