"""Requests by the route that they belong to, for training and for judging the classifier of
services/language. No way of asking is in both splits.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from tools.routes.handwritten import HANDWRITTEN
from tools.routes.templates import TEMPLATES
from tools.routes.words import WORDS

_SLOT: Final = re.compile(r"\{(\w+)\}")
_SEED: Final = 8
_FILLINGS: Final = 14
_HELD_OUT: Final = 4


@dataclass(frozen=True, slots=True)
class Example:
    text: str
    route: str


@dataclass(frozen=True, slots=True)
class Split:
    """Of no template of the one is anything in the other."""

    training: Sequence[Example]
    held_out: Sequence[Example]


def split() -> Split:
    """The same each time."""
    training: list[Example] = []
    held_out: list[Example] = []
    for route, templates in TEMPLATES.items():
        for number, template in enumerate(templates):
            into = held_out if number % _HELD_OUT == _HELD_OUT - 1 else training
            into.extend(Example(text, route) for text in _filled(template))
    known = {one.text.casefold() for one in handwritten()}
    return Split([one for one in training if one.text.casefold() not in known], held_out)


def handwritten() -> list[Example]:
    return list(
        chain.from_iterable(
            (Example(text, route) for text in texts) for route, texts in HANDWRITTEN.items()
        )
    )


def _filled(template: str) -> Iterator[str]:
    """Some of all fillings, half of them as people type in haste."""
    for number in range(_FILLINGS if _SLOT.search(template) else 2):
        text = template
        for place, slot in enumerate(_SLOT.findall(template)):
            words = WORDS[slot]
            word = words[_drawn(f"{template} {number} {place}") % len(words)]
            text = text.replace(f"{{{slot}}}", word, 1)
        yield text.lower().rstrip("?.!") if number % 2 else text


def _drawn(what: str) -> int:
    """As good as chance, and the same in every run."""
    return zlib.crc32(f"{_SEED} {what}".encode())
