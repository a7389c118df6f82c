"""Files of packages, with places to fill in, as they lie in the folder `templates` beside this."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_FOLDER = Path(__file__).parent / "templates"
_PLACE = re.compile(r"@@(\w+)@@")
# Under their own names these would mean something to the repository itself.
_RENAMED = {"gitignore": ".gitignore", "npmrc": ".npmrc"}


def filled(name: str, values: Mapping[str, str]) -> dict[str, bytes]:
    """All files of a template, by path; KeyError for a place that has no value."""
    folder = _FOLDER / name
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        text = _PLACE.sub(lambda place: values[place[1]], path.read_text("utf-8"))
        named = path.with_name(_RENAMED.get(path.name, path.name))
        found[str(named.relative_to(folder))] = text.encode()
    return found
