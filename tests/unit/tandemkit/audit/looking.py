"""A tree of planted files, and what an audit says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import dedent

from tandemkit.audit.checks import SUMMARIES, checks
from tandemkit.audit.finding import Finding
from tandemkit.audit.sources import Sources


def planted(folder: Path, files: Mapping[str, str]) -> Path:
    """The folder, with these files in it."""
    for path, text in files.items():
        whole = folder / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        whole.write_text(dedent(text), "utf-8")
    return folder


def looked(tree: Path, names: Iterable[str] = SUMMARIES) -> list[Finding]:
    """All findings, whatever the tree allows itself."""
    with checks(names) as looking:
        sources = Sources(tree).each(lambda _number, _of: None)
        return [finding for source in sources for finding in looking.findings(source)]


def places(tree: Path, name: str) -> list[str]:
    """Of one check, as `file:line`."""
    return [f"{one.path}:{one.line}" for one in looked(tree, (name,))]
