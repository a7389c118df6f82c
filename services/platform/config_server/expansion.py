"""Variables in the values of files: `${NAME}`, `${NAME:-otherwise}`, and `$$` for a dollar."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tandemkit.core.errors import Failure

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
# A text that needs more was not written by hand.
_DEPTH_MAX = 8


class Unexpandable(Failure):
    """The text cannot be made a value."""


def expanded(text: str, variables: Mapping[str, str | None]) -> str:
    """`text` with what its variables stand for; None marks one that is secret. As in a shell, what
    stands behind `:-` holds where the variable is missing or empty, and may name others.
    """
    made, end = _until(text, 0, variables, depth=0)
    if end != len(text):
        raise Unexpandable("a `}` closes nothing", at=end)
    return made


def _until(
    text: str, start: int, variables: Mapping[str, str | None], depth: int
) -> tuple[str, int]:
    """The text from `start` to its end, or to the brace that closes what it stands in, whose place
    comes with it. Outside of any variable braces are nothing special.
    """
    parts: list[str] = []
    at = start
    while at < len(text) and not (depth and text[at] == "}"):
        if text[at] != "$":
            parts.append(text[at])
            at += 1
        elif text.startswith("$$", at):
            parts.append("$")
            at += 2
        elif text.startswith("${", at):
            made, at = _variable(text, at + 2, variables, depth + 1)
            parts.append(made)
        else:
            raise Unexpandable("a lone `$`: write `$$` for a dollar", at=at)
    return "".join(parts), at


def _variable(
    text: str, start: int, variables: Mapping[str, str | None], depth: int
) -> tuple[str, int]:
    """What stands between the braces, from behind the first one, and the place behind the last."""
    if depth > _DEPTH_MAX:
        raise Unexpandable("variables stand too deep in each other", depth_max=_DEPTH_MAX)
    found = _NAME.match(text, start)
    if found is None:
        raise Unexpandable("`${` without a name of a variable behind it", at=start)
    name, at = found.group(), found.end()
    otherwise: str | None = None
    if text.startswith(":-", at):
        # Read also where it does not hold, so that a mistake in it shows at once.
        otherwise, at = _until(text, at + 2, variables, depth)
    if not text.startswith("}", at):
        raise Unexpandable("a `${` is never closed", variable=name)
    return _meant(name, otherwise, variables), at + 1


def _meant(name: str, otherwise: str | None, variables: Mapping[str, str | None]) -> str:
    found = variables.get(name, "")
    if found is None:
        message = "a secret variable, which everybody could read here: name a file that holds it"
        raise Unexpandable(message, variable=name)
    if found or (otherwise is None and name in variables):
        return found
    if otherwise is None:
        raise Unexpandable("no such variable was handed over", variable=name)
    return otherwise
