"""The agents that keep content, wherever they run: found by their contracts, and remembered, since
one that is away keeps it all the same.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.message import Message

from tandem.memory.v1 import deletion_pb2 as nouns
from tandem.memory.v1 import subject_pb2 as pb
from tandemkit.hosting.replicas import Asked, Replica, Unanswered
from tandemkit.storage.state.owned import State

DELETE = Asked("DeleteSubject", pb.DeleteSubjectRequest, pb.DeleteSubjectResponse)
EXPORT = Asked("ExportSubject", pb.ExportSubjectRequest, pb.ExportSubjectResponse)
_ROLL = "keepers"


@dataclass(frozen=True, slots=True, order=True)
class Keeper:
    """The replicas of one instance on one machine: they have one place for their files."""

    agent: str
    instance: str
    machine: str

    @classmethod
    def of(cls, standing: nouns.KeeperStanding) -> Keeper:
        return cls(standing.agent, standing.instance, standing.machine)

    def standing(self) -> nouns.KeeperStanding:
        return nouns.KeeperStanding(agent=self.agent, instance=self.instance, machine=self.machine)


class Reach(Protocol):
    """How they are reached: `tandemkit.hosting.replicas.Replicas`."""

    async def having(self, asked: Asked) -> list[Replica]: ...

    async def ask(self, replica: Replica, asked: Asked, request: Message) -> Any: ...

    def listen(
        self, replica: Replica, asked: Asked, request: Message
    ) -> AsyncGenerator[Any, None]: ...


class Keepers:
    def __init__(self, reach: Reach, state: State) -> None:
        self.reach, self._state = reach, state

    async def known(self) -> dict[Keeper, list[Replica]]:
        """All that ever were, in their order, each with its replicas that are there now. Raises
        Untold.
        """
        found: dict[Keeper, list[Replica]] = {}
        for one in await self.reach.having(DELETE):
            found.setdefault(Keeper(one.service, one.instance, one.machine), []).append(one)
        roll = await self._state.get(_ROLL, nouns.KeeperRoll) or nouns.KeeperRoll()
        enrolled = {Keeper.of(one) for one in roll.keepers}
        if not found.keys() <= enrolled:
            await self._enroll(set(found), set())
        return {one: found.get(one, []) for one in sorted(enrolled | found.keys())}

    async def strike(self, gone: set[Keeper]) -> None:
        """They are nobody's to wait for until they are seen again."""
        await self._enroll(set(), gone)

    async def delete(
        self, replicas: list[Replica], request: pb.DeleteSubjectRequest
    ) -> pb.DeleteSubjectResponse:
        """What all of them deleted. Raises Unanswered."""
        if not replicas:
            raise Unanswered("it is not registered")
        done = pb.DeleteSubjectResponse()
        for one in replicas:
            said = await self.reach.ask(one, DELETE, request)
            done.deleted += said.deleted
            done.remains.extend(said.remains)
        return done

    async def _enroll(self, come: set[Keeper], gone: set[Keeper]) -> None:
        def edit(roll: nouns.KeeperRoll) -> None:
            every = ({Keeper.of(one) for one in roll.keepers} | come) - gone
            del roll.keepers[:]
            roll.keepers.extend(one.standing() for one in sorted(every))

        await self._state.change(_ROLL, nouns.KeeperRoll, edit)
