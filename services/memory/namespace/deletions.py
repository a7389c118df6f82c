"""Deletions that are asked for once and go on until all have confirmed, over restarts of anybody.
Each is one value of the agent's state.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from dataclasses import dataclass

from services.memory.namespace.keepers import Keeper, Keepers
from services.memory.namespace.past import Past
from services.memory.namespace.rounds import asked, waiting_in
from tandem.memory.v1 import deletion_pb2 as nouns
from tandem.memory.v1 import errors_pb2 as errors
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.errors import CallerError, Failure
from tandemkit.storage.state.owned import State
from tandemkit.storage.subjects import folded
from tandemkit.supervise.alarm import Alarm, Turns

PREFIX = "deletions/"
_PAUSE_S_MIN, _PAUSE_S_MAX = 0.2, 30.0
_COMPLETE = nouns.DELETION_STATE_COMPLETE
_LOGGER = logging.getLogger("tandem.memory")
Ended = Callable[[nouns.Deletion], Awaitable[None]]
Spawn = Callable[[str, Coroutine[object, object, None]], None]


@dataclass(frozen=True, slots=True)
class Around:
    """What deletions work with. `ended` is called before one that all have confirmed is complete;
    `spawn` runs what they do for as long as the agent lives.
    """

    keepers: Keepers
    past: Past
    clock: Clock
    ended: Ended
    spawn: Spawn


class Deletions:
    def __init__(self, state: State, around: Around) -> None:
        self._state, self._around = state, around
        self._turn, self._turns, self._woken = 0, Turns(), Turns()
        self._beginning = asyncio.Lock()
        self._alarm = Alarm(around.clock, self._woken.tell)

    async def resume(self) -> None:
        """Goes on with what an earlier life left; also with cleaning up behind itself."""
        await self._state.scrub()
        every = await self.all()
        await self._around.past.note(*every)
        for one in every:
            if one.state != _COMPLETE:
                self._around.spawn(one.name, self._run(one.name))

    async def end(self) -> None:
        await self._alarm.end()

    async def begin(self, wanted: nouns.Deletion) -> nouns.Deletion:
        """The deletion of that name: this one, or the same that was asked for before."""
        # Of two that say one name at the same time the second one has to see the first.
        async with self._beginning:
            return await self._begun(wanted)

    async def _begun(self, wanted: nouns.Deletion) -> nouns.Deletion:
        known = await self._state.get(wanted.name, nouns.Deletion)
        if known is not None:
            _check_same(known, wanted)
            return known
        wanted.state = nouns.DELETION_STATE_DELETING
        wanted.request_time.FromDatetime(self._around.clock.now())
        wanted.subject_digest = digest_of(wanted.salt, wanted.subject)
        await self._state.put(wanted.name, wanted)
        # From here on it is done, whatever comes: who asks again is told that it is being done.
        self._around.spawn(wanted.name, self._run(wanted.name))
        await self._around.past.note(wanted)
        return wanted

    async def get(self, name: str) -> nouns.Deletion:
        """Raises CallerError where there is none."""
        found = await self._state.get(name, nouns.Deletion)
        if found is None:
            reason, message = errors.ERROR_REASON_DELETION_NOT_FOUND, "there is no such deletion"
            raise CallerError(reason, message, field="name", name=name)
        return found

    async def all(self) -> list[nouns.Deletion]:
        """In the order of their names."""
        return [one async for _, one in self._state.all(PREFIX, nouns.Deletion)]

    async def watch(self, name: str) -> AsyncGenerator[nouns.Deletion, None]:
        """As it is, and whenever it is further, until it is complete."""
        told = None
        while told is None or told.state != _COMPLETE:
            turn = self._turn
            found = await self.get(name)
            if found != told:
                told = found
                yield found
            elif turn == self._turn:
                await self._turns.next()

    async def excuse(self, name: str, machine: str, agent: str) -> nouns.Deletion:
        """Of what is not complete yet; nor do later ones wait for them."""

        def edit(deletion: nouns.Deletion) -> None:
            for one in waiting_in(deletion):
                if one.machine == machine and agent in {"", one.agent}:
                    one.excused, one.cause = True, ""

        await self.get(name)
        deletion = await self._state.change(name, nouns.Deletion, edit)
        gone = {Keeper.of(one) for one in deletion.keepers if one.excused}
        await self._around.keepers.strike(gone)
        self._tell()
        self._woken.tell()
        return deletion

    async def _run(self, name: str) -> None:
        pause_s = _PAUSE_S_MIN
        while True:
            try:
                before = await self.get(name)
                after = await self._further(before)
            except Failure as error:
                said = {"deletion": name, "cause": error.message}
                log.event(_LOGGER, logging.WARNING, "deletion.held_up", **said)
            else:
                self._tell()
                if after.state == _COMPLETE:
                    return
                if after.state != before.state:
                    pause_s = _PAUSE_S_MIN
                    continue
            self._alarm.set_to(self._around.clock.monotonic_s() + pause_s)
            await self._woken.next()
            pause_s = min(_PAUSE_S_MAX, pause_s * 2)

    async def _further(self, before: nouns.Deletion) -> nouns.Deletion:
        if before.state == _COMPLETE:
            return before
        heard = await asked(before, self._around.keepers, self._around.clock)
        after = await self._state.change(before.name, nouns.Deletion, heard.note)
        if before.state == nouns.DELETION_STATE_CONFIRMING and not waiting_in(after):
            return await self._complete(after)
        return after

    async def _complete(self, deletion: nouns.Deletion) -> nouns.Deletion:
        """Its own record forgets the subject too, and then the file that had it is cleaned."""
        await self._around.ended(deletion)

        def edit(deletion: nouns.Deletion) -> None:
            deletion.subject, deletion.state = "", _COMPLETE
            deletion.complete_time.FromDatetime(self._around.clock.now())
            deletion.remains[:] = sorted({*deletion.remains, *_excused_in(deletion)})

        done = await self._state.change(deletion.name, nouns.Deletion, edit)
        await self._around.past.note(done)
        if more := await self._state.scrub(thoroughly=True):

            def add(deletion: nouns.Deletion) -> None:
                deletion.remains[:] = sorted({*deletion.remains, *more})

            done = await self._state.change(deletion.name, nouns.Deletion, add)
        log.event(_LOGGER, logging.INFO, "deletion.complete", deletion=done.name)
        return done

    def _tell(self) -> None:
        self._turn += 1
        self._turns.tell()


def digest_of(salt: bytes, subject: str) -> bytes:
    return hashlib.sha256(salt + folded(subject).encode()).digest()


def _excused_in(deletion: nouns.Deletion) -> list[str]:
    return [
        f"{one.agent} on {one.machine} did not confirm: the operator excused it"
        for one in deletion.keepers
        if one.excused
    ]


def _check_same(known: nouns.Deletion, wanted: nouns.Deletion) -> None:
    is_same = (
        known.subject_digest == digest_of(known.salt, wanted.subject)
        and known.namespace == wanted.namespace
        and known.mentions == wanted.mentions
        and known.whole_namespace == wanted.whole_namespace
    )
    if not is_same:
        message = "another deletion was asked for with this id"
        raise CallerError(errors.ERROR_REASON_REQUEST_ID_TAKEN, message, field="request_id")
