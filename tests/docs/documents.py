"""The documents, the code blocks in them, and what the public header declares. For the tests beside this file."""

import os
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LIBDIR = Path(os.environ["WSBEAT_BUILD"]) / "lib"
HEADER = (ROOT / "include/wsbeat/wsbeat.h").read_text()
VERSION = ".".join(re.findall(r"#define WSB_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", (ROOT / "include/wsbeat/version.h").read_text()))
MINOR = VERSION.rpartition(".")[0]


def name_of(path):
    return str(path.relative_to(ROOT))


def page(name):
    return (ROOT / name).read_text()


def blocks(language, documents=None):
    """(file:line, text) of every fenced block of this language."""
    found = []
    for path in documents or DOCUMENTS:
        text = path.read_text()
        for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.S | re.M):
            found.append((f"{name_of(path)}:{text.count(chr(10), 0, match.start()) + 1}", match[1]))
    return found


def program(language, name, *words):
    """The one block of a page in which all these words stand."""
    fitting = [code for _, code in blocks(language, [ROOT / name]) if all(word in code for word in words)]
    assert len(fitting) == 1, f"{len(fitting)} blocks of {name} have {words}"
    return fitting[0]


def rows(text, columns):
    """Cells of every table row with so many columns, heads included; backticks stay."""
    lines = [line.strip().strip("|").split("|") for line in text.splitlines() if line.startswith("|") and not set(line) <= set("|-: ")]
    return [[cell.strip() for cell in cells] for cells in lines if len(cells) == columns]


def struct_fields(name):
    """Field -> its comment in the header, reserved fields and `size` left out."""
    body = re.search(rf"typedef struct {name} \{{(.*?)\n\}} {name};", HEADER, re.S)[1]
    fields = re.findall(r"^  [\w ]+?[ *]+(\w+);[ ]*(?:/\*(.*?)\*/)?", body, re.S | re.M)
    return {field: re.sub(r"\s*\n\s*\*\s*", " ", comment).strip() for field, comment in fields if not re.match(r"size$|reserved", field)}


def listed_values(macro):
    """The (NAME, value, text) entries of one of the header's X-macro lists."""
    body = re.search(rf"#define {macro}\(XX\)(.*?)\n\n", HEADER, re.S)[1]
    return [(name, int(value), text) for name, value, text in re.findall(r'XX\((\w+), (-?\d+), "([^"]*)"\)', body)]
