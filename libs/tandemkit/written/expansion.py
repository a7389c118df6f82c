"""Variables in the values of files: `${NAME}`, `${NAME:-otherwise}`, and `$$` for a dollar."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

from tandemkit.core.errors import Failure

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
# A text that needs more was not written by hand.
_DEPTH_MAX = 8
# What stands behind `:-`, expanded when it is asked for.
Otherwise: TypeAlias = Callable[[], str]
# What a variable stands for. Raises Unexpandable.
Meaning: TypeAlias = Callable[[str, Otherwise | None], str]


class Unexpandable(Failure):
    """The text cannot be made a value."""


def expanded(text: str, meaning: Meaning) -> str:
    """`text` with what its variables mean. As in a shell, what stands behind `:-` may name others.
    Raises Unexpandable, and what `meaning` does.
    """
    made, end = _until(text, 0, meaning, depth=0)
    if end != len(text):
        raise Unexpandable("a `}` closes nothing", at=end)
    return made


def of(variables: Mapping[str, str | None]) -> Meaning:
    """They mean what was handed over; None marks one that is secret. What stands behind `:-` holds
    where the variable is missing or empty, and its mistakes count wherever it stands.
    """

    def meant(name: str, otherwise: Otherwise | None) -> str:
        default = otherwise() if otherwise else None
        found = variables.get(name, "")
        if found is None:
            message = (
                "a secret variable, which everybody could read here: name a file that holds it"
            )
            raise Unexpandable(message, variable=name)
        if found or (default is None and name in variables):
            return found
        if default is None:
            raise Unexpandable("no such variable was handed over", variable=name)
        return default

    return meant


def _until(text: str, start: int, meaning: Meaning, depth: int) -> tuple[str, int]:
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
            made, at = _variable(text, at + 2, meaning, depth + 1)
            parts.append(made)
        else:
            raise Unexpandable("a lone `$`: write `$$` for a dollar", at=at)
    return "".join(parts), at


def _variable(text: str, start: int, meaning: Meaning, depth: int) -> tuple[str, int]:
    """What stands between the braces, from behind the first one, and the place behind the last."""
    if depth > _DEPTH_MAX:
        raise Unexpandable("variables stand too deep in each other", depth_max=_DEPTH_MAX)
    found = _NAME.match(text, start)
    if found is None:
        raise Unexpandable("`${` without a name of a variable behind it", at=start)
    name, at = found.group(), found.end()
    otherwise: Otherwise | None = None
    if text.startswith(":-", at):
        # What it means is asked for only where it holds; where it ends is asked for now.
        otherwise = partial(_meant, text, at + 2, meaning, depth)
        _text, at = _until(text, at + 2, _nothing, depth)
    if not text.startswith("}", at):
        raise Unexpandable("a `${` is never closed", variable=name)
    return meaning(name, otherwise), at + 1


def _meant(text: str, start: int, meaning: Meaning, depth: int) -> str:
    return _until(text, start, meaning, depth)[0]


def _nothing(_name: str, _otherwise: Otherwise | None) -> str:
    return ""
