"""Adds up JUnit reports and prints one plain line: `N passed, N failed, N skipped`."""

from __future__ import annotations

import argparse
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class ReportFailure(Exception):
    """A report cannot be read; the message says which."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of some tests. An error, in a fixture say, counts as failed."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped
        )

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def tally_of(report: Path) -> Tally:
    """What one report says. Counts test cases, since the totals in the head can be absent."""
    try:
        cases = ET.parse(report).getroot().iter("testcase")  # noqa: S314 - pytest wrote it just now
    except (ET.ParseError, OSError) as error:
        raise ReportFailure(f"{report} is no report") from error
    return sum((_of_case({part.tag for part in case}) for case in cases), Tally())


def _of_case(parts: set[str]) -> Tally:
    if parts & {"failure", "error"}:
        return Tally(failed=1)
    return Tally(skipped=1) if "skipped" in parts else Tally(passed=1)


def total(reports: Iterable[Path]) -> Tally:
    return sum((tally_of(report) for report in reports), Tally())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools/summary.py", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the reports lie, at any depth")
    folder: Path = parser.parse_args(arguments).folder
    try:
        print(total(sorted(folder.rglob("*.xml"))))
    except ReportFailure as failure:
        sys.stderr.write(f"tools/summary.py: {failure}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
