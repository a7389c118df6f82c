"""The secrets that one instance was declared to need, as its process was given them: a file each,
followed for as long as the instance lives.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tandemkit.core.clock import Clock, until_next_s
from tandemkit.core.errors import Bug
from tandemkit.core.secret import Secret, SecretMissing
from tandemkit.reach.failure import Refused
from tandemkit.secrecy import files

# How often a file is looked at again, at most: whoever reveals in between is shown what was there.
LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Needed:
    """What a stanza declares, by name."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.required, *self.optional)


class FollowedSecret:
    """One secret as it is now. A file that is lost or spoiled later changes nothing: what was read
    last holds.
    """

    def __init__(self, name: str, path: Path | None, clock: Clock) -> None:
        self.name = name
        self._path, self._clock = path, clock
        self._secret: Secret | None = None
        self._seen: files.Identity = ()
        self._look_s = 0.0
        # What keeps its file from being read, in words.
        self.refused = ""

    def reveal(self) -> str:
        """The value of now: ask again for each use. Raises SecretMissing."""
        return self.secret.reveal()

    @property
    def secret(self) -> Secret:
        """The same, still covered. Raises SecretMissing."""
        if self._clock.monotonic_s() >= self._look_s:
            self.look()
        if self._secret is None:
            raise SecretMissing(self.name)
        return self._secret

    @property
    def is_there(self) -> bool:
        """Whether it has a value."""
        self.look()
        return self._secret is not None

    async def changed(self) -> None:
        """Returns when it has become another one, or one at all."""
        known = self._secret
        while self._secret == known:
            await self._clock.sleep(until_next_s(self._clock, LOOK_S))
            self.look()

    def look(self) -> None:
        """Takes over what was written since."""
        self._look_s = self._clock.monotonic_s() + LOOK_S
        if self._path is None:
            return
        seen = files.identity(self._path)
        if seen == self._seen:
            return
        self._seen, self.refused = seen, ""
        try:
            found = files.read(self._path)
        except Refused as error:
            self.refused = str(error)
            return
        if found is not None:
            self._secret = found.secret


class Entrusted:
    """Of one instance, from `folder`, which its host was given; None for none."""

    def __init__(self, owner: str, needed: Needed, folder: Path | None, clock: Clock) -> None:
        self.owner, self._needed = owner, needed
        self._by_name = {
            name: FollowedSecret(name, folder / name if folder else None, clock)
            for name in needed.names
        }

    def follow(self, name: str) -> FollowedSecret:
        """Raises Bug for one that the instance was not declared to need."""
        found = self._by_name.get(name)
        if found is None:
            message = "the agent's stanza declares the secret neither in `secrets` nor optional"
            raise Bug(message, agent=self.owner, secret=name)
        return found

    def missing(self) -> tuple[str, ...]:
        """Required ones that have no value."""
        return tuple(one for one in self._needed.required if not self._by_name[one].is_there)

    async def check(self) -> None:
        """Raises SecretMissing, or Refused where a file is there that cannot be trusted."""
        if missing := self.missing():
            if refused := next(filter(None, (self._by_name[one].refused for one in missing)), ""):
                raise Refused(refused)
            raise SecretMissing(*missing)
