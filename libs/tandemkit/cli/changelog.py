"""News fragments, `changes/<slug>.<kind>.md`, and the section of CHANGELOG.md that they become."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from tandemkit.cli.output import Refusal

# In the order in which a reader wants them: who calls us, who runs us, who works on us.
KINDS = {
    "contract": "Contracts",
    "agent": "Agents",
    "fix": "Fixed",
    "ops": "Running it",
}
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")
_SECTION = re.compile(r"^## (?!Unreleased)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Fragment:
    """One visible change, told for its reader."""

    path: Path
    kind: str
    text: str


def fragments_in(folder: Path) -> list[Fragment]:
    """All fragments, in the order of KINDS and of their names."""
    found = []
    for path in sorted(folder.glob("*.md")):
        kind = path.name.removesuffix(".md").rpartition(".")[2]
        if path.name.count(".") < 2 or kind not in KINDS:
            if path.name == "README.md":
                continue
            known = ", ".join(KINDS)
            raise Refusal(f"{path.name} names no kind of change; <slug>.<kind>.md, of {known}.")
        found.append(Fragment(path, kind, path.read_text().strip()))
    return sorted(found, key=lambda fragment: list(KINDS).index(fragment.kind))


def section(version: str, day: date, fragments: list[Fragment]) -> str:
    """What the change log says about one version."""
    if _VERSION.fullmatch(version) is None:
        raise Refusal(f"{version!r} is no version; three numbers, such as 0.2.0.")
    if not fragments:
        raise Refusal("changes/ holds no fragment, so there is nothing to release.")
    blocks = [f"## {version} ({day.isoformat()})"]
    for kind, title in KINDS.items():
        told = [_item(fragment.text) for fragment in fragments if fragment.kind == kind]
        if told:
            blocks.append("\n".join((f"### {title}", "", *told)))
    return "\n\n".join(blocks) + "\n"


def insert(text: str, new: str) -> str:
    """The change log with the new section before the latest one."""
    latest = _SECTION.search(text)
    at = latest.start() if latest else len(text)
    head = text[:at].rstrip()
    return f"{head}\n\n{new}\n{text[at:]}".rstrip() + "\n"


def release(root: Path, new: str, fragments: list[Fragment]) -> None:
    """Writes the section, then removes the fragments: killed between, a rerun tells them twice."""
    log = root / "CHANGELOG.md"
    fresh = log.with_suffix(".md.new")
    fresh.write_text(insert(log.read_text() if log.exists() else "# Changes\n", new))
    fresh.rename(log)
    for fragment in fragments:
        fragment.path.unlink()


def _item(text: str) -> str:
    # The fragment's own lines, indented to stay one list item.
    return "- " + text.replace("\n", "\n  ")
