"""Sums up build/results: a table of suites, what failed with the end of its log, and the closing line "N passed, N failed".

Each program of a suite left a folder with `kind` (junit: JUnit XML beside it; plain: one test, judged by the exit code), `status`, `seconds`
and `log`, and `sanitizer.*` where a sanitizer reported. A program that crashed, timed out, ran nothing or was reported counts as one failure even
if its XML shows none.
"""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

LOG_LINES_SHOWN = 40
REPORTS_SHOWN = 3
TIMED_OUT = 124  # timeout(1)


class Program:
    """Counts of one program, and the names of what failed in it."""

    def __init__(self, folder):
        self.folder = folder
        self.status = read_number(folder / "status", default=-1)
        self.seconds = read_number(folder / "seconds", default=0)
        self.passed = self.skipped = 0
        self.failures = []
        self.details = []
        if (folder / "kind").read_text().strip() == "plain":
            self.passed = int(self.status == 0)
        else:
            for path in sorted(folder.glob("*.xml")):
                self.add_junit(path)
        self.reports = [path for path in sorted(folder.glob("sanitizer.*")) if path.stat().st_size]
        self.failures += ["sanitizer report"] * bool(self.reports)
        if self.status != 0 and not self.failures:
            self.failures.append("timed out" if self.status == TIMED_OUT else f"ended with status {self.status}")
        elif not (self.passed or self.skipped or self.failures):
            self.failures.append("ran nothing")

    def add_junit(self, path):
        try:
            cases = list(ElementTree.parse(path).iter("testcase"))
        except ElementTree.ParseError as error:
            self.failures.append(f"{path.name}: {error}")
            return
        for case in cases:
            wrong = case.find("failure") if case.find("failure") is not None else case.find("error")
            if wrong is not None:
                self.failures.append(case.get("name"))
                self.details.append((wrong.text or wrong.get("message") or "").strip())
            elif case.find("skipped") is not None or case.get("status") == "notrun":
                self.skipped += 1
            else:
                self.passed += 1

    def show_failure(self):
        print(f"\n--- {self.folder.parent.name}/{self.folder.name}: {', '.join(self.failures)}")
        log = (self.folder / "log").read_text(errors="replace").splitlines()
        shown = "\n".join(log[-LOG_LINES_SHOWN:])
        print(shown)
        for report in self.reports[:REPORTS_SHOWN]:
            print("\n".join(report.read_text(errors="replace").splitlines()[:LOG_LINES_SHOWN]))
        for detail in self.details:  # cmocka writes them into its XML only
            if len(log) < LOG_LINES_SHOWN and detail not in shown:
                print(detail)


def read_number(path, default):
    return int(path.read_text()) if path.exists() else default


def main():
    results, suites = Path(sys.argv[1]), sys.argv[2:]
    passed = failed = skipped = 0
    rows = []
    for suite in suites:
        programs = [Program(kind.parent) for kind in sorted((results / suite).glob("*/kind"))]
        for program in programs:
            if program.failures:
                program.show_failure()
        counts = [sum(p.passed for p in programs), sum(len(p.failures) for p in programs), sum(p.skipped for p in programs)]
        if not counts[0] + counts[1]:  # nothing there, or everything skipped
            counts[1] = 1
            print(f"\n--- {suite}: ran nothing")
        rows.append((suite, *counts, sum(p.seconds for p in programs)))
        if suite == "build":  # trees are no tests, but one that does not build is a failure
            counts[0] = 0
        passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]

    print(f"\n{'suite':<18}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}")
    for suite, *numbers in rows:
        print(f"{suite:<18}" + "".join(f"{n:>{w}}" for n, w in zip(numbers, (8, 8, 8, 9))))
    if skipped:
        print(f"\n{skipped} skipped")
    print(f"\n{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


sys.exit(main())
