"""The sdist builds from its own files alone, the wheel holds what it should, and an installed libwsbeat can be used instead."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
OUT = ROOT / "build" / "python"
DEBIAN_PYTHON = "/usr/bin/python3"
ECHO = """
import asyncio, websockets, wsbeat
async def echo(ws):
    async for message in ws:
        await ws.send(message)
async def main():
    async with wsbeat.serve(echo, "127.0.0.1", 0) as server:
        async with websockets.connect(f"ws://127.0.0.1:{server.port}/") as client:
            await client.send("works")
            print(await client.recv())
asyncio.run(asyncio.wait_for(main(), 20))
"""


NATS = """
import wsbeat
try:
    wsbeat.Server(port=0, nats="nats://127.0.0.1:4222")
    print("loaded")
except wsbeat.ConfigError as error:
    print(error)
"""


def run(*command, cwd=None, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=380, check=False, cwd=cwd, env={**clean, **environment})
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


def echo_in(folder, archive):
    """Installs a wheel into a virtual environment of its own, and echoes there."""
    run(DEBIAN_PYTHON, "-m", "venv", "--system-site-packages", folder)
    run(folder / "bin/pip", "install", "-q", "--no-index", "--no-deps", archive)
    assert run(folder / "bin/python", "-c", ECHO, cwd=folder) == "works\n"


def without_nats(folder):
    """A folder with what pkg-config knows, as it is where nobody installed NATS's client."""
    folder.mkdir()
    for known in run("pkg-config", "--variable", "pc_path", "pkg-config").strip().split(":"):
        for file in Path(known).glob("*.pc"):
            if file.name != "libnats.pc" and not (folder / file.name).exists():
                (folder / file.name).symlink_to(file)
    return str(folder)


def test_the_wheel_holds_the_package():
    (wheel,) = (OUT / "dist").glob("wsbeat-*.whl")
    names = {Path(name).name for name in zipfile.ZipFile(wheel).namelist()}
    assert {"__init__.py", "py.typed", "_wsbeat.pyi", "wsbeat-server", "LICENSE"} <= names
    assert any(name.startswith("_wsbeat.") and name.endswith(".so") for name in names) and not any(name.endswith(".cpp") for name in names)
    linked = run("ldd", next(Path(sys.prefix).glob("lib/python*/site-packages/wsbeat/_wsbeat.*.so")))
    assert "libwebsockets" in linked and "libwsbeat" not in linked


@pytest.mark.timeout(400)
def test_the_sdist_builds_by_itself(tmp_path):
    source = OUT / "source" / "bindings" / "python"
    run(DEBIAN_PYTHON, "-m", "build", "--sdist", "--no-isolation", "--skip-dependency-check", "-o", tmp_path, source)
    (archive,) = tmp_path.glob("wsbeat-*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
        unpacked = OUT / "sdist"  # always the same, so that a compiler cache knows the files
        shutil.rmtree(unpacked, ignore_errors=True)
        tar.extractall(unpacked)
    assert {"core/include/wsbeat/wsbeat.h", "core/lib/wsbeat.map", "core/backplane/nats/wsbeat-nats.map", "src/engine.cpp", "CMakeLists.txt", "PKG-INFO", "wsbeat/_wsbeat.pyi"} <= names
    run(DEBIAN_PYTHON, "-m", "pip", "wheel", "-q", "--no-index", "--no-build-isolation", "--no-deps", "-w", tmp_path, next(unpacked.iterdir()),
        cwd=tmp_path, PKG_CONFIG_LIBDIR=without_nats(tmp_path / "pkgconfig"))
    wheel = next(tmp_path.glob("wsbeat-*.whl"))
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if "nats.so" in name]
    echo_in(tmp_path / "venv", wheel)
    if "libwsbeat-nats" not in run("/sbin/ldconfig", "-p"):
        assert "install libwsbeat-nats0.1, or libnats-dev" in run(tmp_path / "venv/bin/python", "-c", NATS, cwd=tmp_path)


@pytest.mark.timeout(400)
def test_an_installed_library_can_be_used(tmp_path):
    build = Path(os.environ.get("WSBEAT_BUILD", ROOT / "build/dev"))
    prefix = tmp_path / "prefix"
    run("cmake", "--install", build, "--prefix", prefix)
    libdir = next(prefix.rglob("libwsbeat.so")).parent
    run(DEBIAN_PYTHON, "-m", "pip", "wheel", "-q", "--no-index", "--no-build-isolation", "--no-deps", "-w", tmp_path,
        OUT / "source/bindings/python", WSBEAT_USE_SYSTEM="1", CMAKE_PREFIX_PATH=str(prefix))
    wheel = next(tmp_path.glob("wsbeat-*.whl"))
    assert "wsbeat/wsbeat-server" not in zipfile.ZipFile(wheel).namelist()
    run(DEBIAN_PYTHON, "-m", "venv", "--system-site-packages", tmp_path / "venv")
    run(tmp_path / "venv/bin/pip", "install", "-q", "--no-index", "--no-deps", wheel)
    module = next((tmp_path / "venv").rglob("_wsbeat.*.so"))
    assert str(libdir) in run("ldd", module, LD_LIBRARY_PATH=str(libdir))
    assert run(tmp_path / "venv/bin/python", "-c", ECHO, LD_LIBRARY_PATH=str(libdir)) == "works\n"
    assert run(tmp_path / "venv/bin/python", "-c", NATS, LD_LIBRARY_PATH=str(libdir)) == "loaded\n"
