"""The JavaScript client's topics in Node: on a WsBeat, on a connection of somebody's own that comes back, and on a plain WebSocket."""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.skipif(not (HERE.parent / "clients/node_modules/ws").exists() or not shutil.which("node"), reason="scripts/setup.sh test installs it")
@pytest.mark.parametrize("kind", ["wsbeat", "returning", "plain"])
def test_topics_in_javascript(start_server, kind):
    server = start_server("--topics")
    done = subprocess.run(["node", HERE / "topics_client.mjs", f"ws://127.0.0.1:{server.port}/", kind], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
