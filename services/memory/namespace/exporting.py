"""Everything that is kept about a subject, from all who keep something: complete, or an error."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from services.memory.namespace.keepers import EXPORT, Keeper, Keepers
from tandem.memory.v1 import errors_pb2 as errors
from tandem.memory.v1 import subject_pb2 as pb
from tandemkit.core.errors import TransientError
from tandemkit.hosting.replicas import Unanswered, Untold

_RETRY_S = 5.0


class Export:
    def __init__(self, keepers: Keepers) -> None:
        self._keepers = keepers

    async def of(
        self, request: pb.ExportSubjectRequest
    ) -> AsyncGenerator[pb.ExportSubjectResponse, None]:
        """Replicas of one store say the same things; each is sent once. Raises TransientError."""
        try:
            known = await self._keepers.known()
        except Untold as error:
            reason, message = errors.ERROR_REASON_REGISTRY_UNREACHABLE, error.message
            raise TransientError(reason, message, retry_after_s=_RETRY_S) from error
        sent: set[tuple[str, str]] = set()
        for keeper, replicas in known.items():
            if not replicas:
                raise _away(keeper, "it is not registered")
            for one in replicas:
                try:
                    listening = self._keepers.reach.listen(one, EXPORT, request)
                    async with aclosing(listening) as told:
                        async for some in told:
                            if records := _new(some, sent):
                                yield pb.ExportSubjectResponse(records=records)
                except Unanswered as error:
                    raise _away(keeper, error.message) from error


def _new(told: pb.ExportSubjectResponse, sent: set[tuple[str, str]]) -> list[pb.SubjectRecord]:
    found = [one for one in told.records if (one.agent, one.name) not in sent]
    sent.update((one.agent, one.name) for one in found)
    return found


def _away(keeper: Keeper, cause: str) -> TransientError:
    return TransientError(
        errors.ERROR_REASON_KEEPER_AWAY,
        "an agent that keeps content does not answer, so the export would not be all",
        retry_after_s=_RETRY_S,
        agent=keeper.agent,
        machine=keeper.machine,
        cause=cause,
    )
