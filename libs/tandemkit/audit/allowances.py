"""What a tree allows itself: entries of `[[tool.tandem.audit.allow]]` in its pyproject.toml, each
with a check, paths and a reason.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandemkit.audit.checks import SUMMARIES
from tandemkit.audit.finding import Finding

_FILE = "pyproject.toml"
_FIELDS = {"check", "paths", "why"}


class BadAllowance(Exception):
    """An entry that says less, or more, than it must; the message says which and what."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """A check that is not held against some files, or folders, which end with a slash."""

    check: str
    paths: tuple[str, ...]
    why: str

    def covers(self, finding: Finding) -> bool:
        return finding.rule == self.check and any(
            finding.path.startswith(path) if path.endswith("/") else finding.path == path
            for path in self.paths
        )


def allowances(root: Path) -> tuple[Allowance, ...]:
    """None where the tree says nothing. Raises BadAllowance."""
    try:
        written = tomllib.loads((root / _FILE).read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadAllowance(f"{_FILE} cannot be read: {error}") from error
    said = written.get("tool", {}).get("tandem", {}).get("audit", {}).get("allow", [])
    return tuple(_allowance(number, entry) for number, entry in enumerate(said, 1))


def _allowance(number: int, entry: Mapping[str, Any]) -> Allowance:
    place = f"{_FILE}: entry {number} of [[tool.tandem.audit.allow]]"
    if set(entry) != _FIELDS:
        raise BadAllowance(f"{place} has to say exactly {', '.join(sorted(_FIELDS))}")
    paths = entry["paths"]
    if entry["check"] not in SUMMARIES:
        raise BadAllowance(f"{place} is for no check: there are {', '.join(SUMMARIES)}")
    if not isinstance(paths, list) or not paths or not str(entry["why"]).strip():
        raise BadAllowance(f"{place} lacks a path or a reason")
    return Allowance(entry["check"], tuple(map(str, paths)), str(entry["why"]))


def held(findings: Iterable[Finding], allowed: Iterable[Allowance]) -> Iterator[Finding]:
    """What no entry allows."""
    entries = tuple(allowed)
    for finding in findings:
        if not any(entry.covers(finding) for entry in entries):
            yield finding
