"""Who may include what (capi -> server -> net -> core, outsiders only the public header), and words that do not belong into the tree."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
LAYERS = ["core", "net", "server", "capi"]
CORE_MUST_NOT_KNOW = {"thread", "mutex", "shared_mutex", "condition_variable", "future", "chrono", "ctime", "time.h", "pthread.h", "unistd.h",
                      "poll.h", "sys/socket.h", "sys/epoll.h", "sys/time.h", "sys/un.h", "netdb.h", "iostream", "fstream", "cstdio", "stdio.h"}
FOREIGN = re.compile(r"(libwebsockets\.h|uv\.h|uv/.*)")
FORBIDDEN = re.compile(r"\b(TODO|FIXME|HACK)\b|\bXXX\b|(?<![\w.])/(work|root|home)/\w", re.ASCII)
TEXT_SUFFIXES = {".h", ".c", ".cpp", ".py", ".sh", ".md", ".txt", ".cmake", ".in", ".json", ".html", ".js", ".mjs", ".map", ".1", ".toml", ".yml", ""}


def includes(path):
    return re.findall(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', path.read_text(), re.M)


def sources(*folders):
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".h", ".c", ".cpp"))


def tree_files():
    """Every file that is or would be committed."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        listed = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                                capture_output=True, text=True, timeout=60, check=True)
        return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    skipped = {"build", "node_modules", ".git", "__pycache__", ".pytest_cache"}
    return [path for path in ROOT.rglob("*") if path.is_file() and not skipped & set(path.relative_to(ROOT).parts)]


@pytest.mark.parametrize("layer", LAYERS)
def test_nobody_includes_upward(layer):
    allowed = set(LAYERS[: LAYERS.index(layer) + 1]) | {"wsbeat"}
    paths = sources(f"lib/{layer}")
    assert paths
    wrong = [(str(path.relative_to(ROOT)), name) for path in paths for name in includes(path)
             if name.partition("/")[0] in {*LAYERS, "wsbeat", ".."} - allowed]
    assert wrong == []


def test_only_net_knows_libwebsockets_and_libuv():
    users = {path.parent.name for path in sources("lib") if any(FOREIGN.fullmatch(name) for name in includes(path))}
    assert users == {"net"}


def test_core_is_pure():
    wrong = [(path.name, name) for path in sources("lib/core") for name in includes(path) if name in CORE_MUST_NOT_KNOW]
    assert wrong == []


def test_outsiders_include_the_public_header_only():
    paths = sources("tools", "examples", "tests/capi", "tests/consumer")
    assert paths
    wrong = [(str(path.relative_to(ROOT)), name) for path in paths for name in includes(path)
             if name.startswith("wsbeat/") and name not in ("wsbeat/wsbeat.h", "wsbeat/version.h", "wsbeat/nats.h") or name.partition("/")[0] in LAYERS]
    assert wrong == []


def test_public_header_needs_only_the_standard_library():
    allowed = {"stddef.h", "stdint.h", "string.h", "wsbeat/export.h", "wsbeat/version.h", "wsbeat/wsbeat.h"}
    assert {name for path in sources("include") for name in includes(path)} <= allowed


def test_no_forbidden_words():
    this = Path(__file__)
    wrong = []
    for path in tree_files():
        if path == this or path.suffix not in TEXT_SUFFIXES or "corpus" in path.parts:
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if FORBIDDEN.search(line):
                wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert wrong == []


def test_lock_files_name_no_registry():
    locks = [path for path in tree_files() if path.name == "package-lock.json"]
    assert locks
    assert [str(path) for path in locks if re.search(r"https?://(?!opencollective|github\.com/sponsors)|\"resolved\"", path.read_text())] == []


def test_every_source_begins_with_what_lives_there():
    wrong = [str(path.relative_to(ROOT)) for path in sources("lib", "include", "tools", "tests", "examples", "bench")
             if "node_modules" not in path.parts and not re.match(r"(#!.*\n)?\s*(//|/\*)", path.read_text())]
    assert wrong == []
