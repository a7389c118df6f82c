"""English words that say how a question is put and not what it is about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_FILLERS: Final = """
a about above after again all also am an and any are aren't as at be because been before being below
between both but by can can't cannot could couldn't did didn't do does doesn't doing don't down
during each few for from further get had hadn't has hasn't have haven't having he her here hers
herself him himself his how i i'd i'll i'm i've if in into is isn't it it's its itself just let's me
more most my myself no nor not of off on once only or other our ours ourselves out over own please
same shall she should shouldn't so some such tell than that that's the their theirs them themselves
then there there's these they they're this those through to too under until up us very was wasn't we
we're were weren't what what's when where where's which while who who's whom why will with won't
would wouldn't you you're your yours yourself yourselves
"""
FILLERS: Final = frozenset(_FILLERS.split())
# What anybody does with anything: they say something only where nothing else does.
DOING: Final = frozenset(
    {"see", "use", "make", "do", "need", "want", "work", "happen", "happens", "mean", "help", "let"}
    | {"find", "start", "get", "know", "show", "look", "way", "possible", "exactly", "actually"}
)


def telling(words: Iterable[str]) -> list[str]:
    """Those that say what it is about; all of them where none does. Given without case."""
    every = list(words)
    some = [one for one in every if one not in FILLERS]
    return [one for one in some if one not in DOING] or some or every
