"""Paths as callers write them: a tuple of plain names, or a refusal. Knows no disk; `jail` resolves
what passes here.
"""

from __future__ import annotations

from typing import TypeAlias

from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

Parts: TypeAlias = tuple[str, ...]

# In the root, since a rename is one step only within a file system. No caller can say it.
TRASH_NAME = ".tandem-trash"
DEPTH_MAX = 64
PATH_BYTES_MAX = 4096
_NAME_BYTES_MAX = 255


def parse_path(path: str, *, field: str = "path") -> Parts:
    """The components of `path`; none for the root. Refuses what could mean more than it says."""
    if not path:
        return ()
    parts = tuple(path.split("/"))
    rule = _broken_rule(path, parts)
    if rule:
        raise CallerError(
            errors.ERROR_REASON_BAD_PATH, "the path is refused", field=field, rule=rule
        )
    return parts


def shown(parts: Parts) -> str:
    return "/".join(parts)


def broken_name_rule(name: str) -> str:
    """Which rule forbids `name` as a component; empty if none does. Names on disk obey it too."""
    if not name:
        return "empty_component"
    if name in {".", ".."}:
        return "dot_component"
    if "\\" in name:
        return "backslash"
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        return "control_character"
    # A file system may fold case, so every spelling of the reserved name is reserved.
    if name.casefold() == TRASH_NAME:
        return "reserved"
    try:
        size_bytes = len(name.encode())
    except UnicodeEncodeError:
        return "not_utf8"
    return "name_too_long" if size_bytes > _NAME_BYTES_MAX else ""


def _broken_rule(path: str, parts: Parts) -> str:
    if path.startswith("/"):
        return "absolute"
    if len(parts) > DEPTH_MAX:
        return "too_deep"
    rule = next(filter(None, map(broken_name_rule, parts)), "")
    if not rule and len(path.encode()) > PATH_BYTES_MAX:
        return "too_long"
    return rule
