"""The variables that a profile's files name: which were used, and which are missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath

from tandem.fleet.v1 import plan_pb2 as pb
from tandemkit.fleet.stanzas import Stanza
from tandemkit.written.marked import Mistake
from tandemkit.written.variables import Use

_MISSING = pb.VARIABLE_ORIGIN_MISSING


class Naming:
    """Those of `uses` that count for a profile: of other profiles, and of stanzas that it does not
    run, nobody needs to know anything.
    """

    def __init__(
        self, uses: Iterable[Use], profile: str, every: Sequence[Stanza], run: Sequence[Stanza]
    ) -> None:
        self._idle = [one for one in every if not any(one is other for other in run)]
        self.uses = [one for one in uses if self._counts(one, profile)]

    @property
    def mistakes(self) -> Iterator[Mistake]:
        """One for each that is missing."""
        for use in self._missing():
            said = (
                f"`${{{use.name}}}` stands for nothing: export {use.name}, write it into .env of "
                f"TANDEM_HOME, or say `${{{use.name}:-...}}`"
            )
            yield Mistake(use.path, use.line, use.column, said)

    @property
    def remarks(self) -> Iterator[str]:
        """The same, where nobody minds."""
        for use in self._missing():
            yield f"{use.place}: `${{{use.name}}}` stands for nothing and is taken for empty"

    def described(self) -> list[pb.UsedVariable]:
        """By name, each with all its places."""
        found: dict[tuple[str, int], pb.UsedVariable] = {}
        for use in sorted(self.uses, key=lambda one: (one.name, one.path, one.at)):
            key = (use.name, use.origin)
            made = pb.UsedVariable(name=use.name, value=use.value, origin=use.origin)
            found.setdefault(key, made).places.append(use.place)
        return list(found.values())

    def _counts(self, use: Use, profile: str) -> bool:
        path = PurePath(use.path)
        if path.parent.name == "profiles":
            return path.stem == profile
        return not any(one.names(use) for one in self._idle)

    def _missing(self) -> Iterator[Use]:
        return (one for one in self.uses if one.origin == _MISSING)
