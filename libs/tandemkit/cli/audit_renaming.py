"""`tandem audit --rename`: imports of a tree pointed at other modules, shown or written."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tandemkit.audit.renaming import Left, Renaming
from tandemkit.audit.sources import Sources
from tandemkit.cli.harmless import lines
from tandemkit.cli.output import EXIT_NO, Refusal, emit

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True, slots=True)
class _Changed:
    """One file, before and after, and what could not be renamed in it."""

    path: str
    file: Path
    before: str
    after: str
    left: tuple[Left, ...]

    @property
    def diff(self) -> str:
        lines = difflib.unified_diff(
            self.before.splitlines(keepends=True),
            self.after.splitlines(keepends=True),
            f"a/{self.path}",
            f"b/{self.path}",
        )
        return "".join(lines)


def rename(tree: Path, renamed: Iterable[str], *, write: bool, as_json: bool) -> int:
    """1 where something is left for a person."""
    renaming = Renaming(dict(map(_pair, renamed)))
    changed = list(_changed(tree, renaming))
    if write:
        for one in changed:
            if one.after != one.before:
                one.file.write_text(one.after, "utf-8")
    left = [(one.path, said) for one in changed for said in one.left]
    value = {
        "ok": not left,
        "written": write,
        "changed": [one.path for one in changed if one.after != one.before],
        "left": [{"path": path, "line": said.line, "why": said.why} for path, said in left],
    }
    emit(value, as_json=as_json, text=lambda: _text(changed, write=write))
    return EXIT_NO if left else 0


def _pair(said: str) -> tuple[str, str]:
    old, _, new = said.partition("=")
    if not (_MODULE.fullmatch(old) and _MODULE.fullmatch(new)):
        raise Refusal(f"--rename {said}: give two modules, as in common.pools=agents.pools")
    return old, new


def _changed(tree: Path, renaming: Renaming) -> Iterable[_Changed]:
    for source in Sources(tree).each(lambda _number, _of: None):
        if source.module is not None:
            after, left = renaming.applied(source.module)
            if after != source.text and source.text.encode() != source.file.read_bytes():
                # Written back it would lose what could not be read.
                after, left = source.text, (*left, Left(1, "the file is no UTF-8"))
            if left or after != source.text:
                yield _Changed(source.path, source.file, source.text, after, left)


def _text(changed: list[_Changed], *, write: bool) -> str:
    files = sum(one.after != one.before for one in changed)
    said = [] if write else [lines(one.diff.rstrip("\n")) for one in changed if one.diff]
    for one in changed:
        said += [f"{one.path}:{left.line}: {left.why}; change it by hand" for left in one.left]
    doing = "changed" if write else "would change; --write does it"
    return "\n".join([*said, f"{files} files {doing}"])
