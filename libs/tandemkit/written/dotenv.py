"""The file `.env`, as people know it: a variable a line, for those that they do not want to export
each time.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path

from tandemkit.written.marked import Mistake

NAME = ".env"
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")
_COMMENT = re.compile(r"\s+#.*")


class BadDotenv(Exception):
    """What is wrong with the file, and where."""


def read(path: Path) -> dict[str, str]:
    """Nothing where there is no file. Nothing is expanded: what stands there is meant. Raises
    BadDotenv.
    """
    try:
        content = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise BadDotenv(f"{path} cannot be read: {error}") from error
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise BadDotenv(f"{path}: others may read or change it, and it may hold keys: chmod 600 it")
    found: dict[str, str] = {}
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = _LINE.fullmatch(line)
        if parts is None:
            # The line itself may hold a key.
            said = "a line is NAME=value, a comment, or empty"
            raise BadDotenv(str(Mistake(str(path), number, 1, said)))
        found[parts.group(1)] = _value(parts.group(2))
    return found


def _value(text: str) -> str:
    for quote in ("'", '"'):
        if text.startswith(quote) and (end := text.find(quote, 1)) > 0:
            return text[1:end]
    return _COMMENT.sub("", text)
