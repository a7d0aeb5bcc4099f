"""python -m wsbeat serve ... | check URL"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from . import __version__
from ._check import add_check_arguments, run_check


def server_program() -> str:
    """wsbeat-server: the one in this package, else the installed one."""
    bundled = Path(__file__).parent / "wsbeat-server"
    if bundled.exists():
        return str(bundled)
    installed = shutil.which("wsbeat-server")
    if installed is None:
        raise SystemExit("wsbeat: there is no wsbeat-server; this package was built for an installed libwsbeat, install the program too")
    return installed


def main() -> int:
    arguments = sys.argv[1:]
    if arguments[:1] == ["serve"]:  # all further flags are the program's own
        program = server_program()
        os.execv(program, [program, *arguments[1:]])
    parser = argparse.ArgumentParser(prog="python -m wsbeat", description="WebSocket server and checker.")
    parser.add_argument("--version", action="version", version=f"wsbeat {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="run wsbeat-server; its flags follow: serve --help", add_help=False)
    add_check_arguments(commands.add_parser("check", help="connect to a server and tell whether heartbeat and close behave"))
    return run_check(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
