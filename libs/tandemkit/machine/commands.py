"""Commands to hosts and agents of one machine. docs/design/machine.md says what each does."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Protocol

from tandem.control.v1 import machine_pb2 as pb
from tandem.control.v1 import traffic_policy_pb2 as policy
from tandemkit.core.errors import Failure
from tandemkit.machine.aiming import Aim, aimed
from tandemkit.machine.news import News
from tandemkit.machine.post import Post
from tandemkit.reach.failure import Unreachable
from tandemkit.supervise.errands import Errands

_KNOWN_MAX = 1000
# Less than the method's deadline, so that whoever asked hears how it stands.
ANSWER_WITHIN_S = 20.0
_UP = frozenset({pb.VERB_START, pb.VERB_RESUME})
_DOWN = frozenset({pb.VERB_STOP, pb.VERB_SUSPEND})


class HostDown(Failure):
    """The agent's host waits for an earlier layer, or was given up."""


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be done, and who wants it."""

    verb: pb.Verb.ValueType
    target: str
    note: policy.ChangeNote
    request_id: str = ""
    # Where the call came from.
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command concerned, by name."""

    hosts: Sequence[str] = field(default_factory=tuple)
    agents: Sequence[str] = field(default_factory=tuple)
    was_so_already: bool = False


class Crew(Protocol):
    """The hosts that are commanded."""

    def posts(self) -> Sequence[Post]: ...

    @property
    def wanted(self) -> pb.WantedMachine: ...

    def note_stopped(self) -> None:
        """Which hosts are stopped on purpose is kept for the next supervisor."""


class Record(Protocol):
    """Where commands are recorded."""

    async def begun(self, command: Command) -> None:
        """Before anything is done. Raises Unreachable: then nothing is."""

    def ended(self, command: Command, done: Done | Failure) -> None:
        """With what came of it."""


class HostCommands(Protocol):
    """Asks a host for something of one of its agents."""

    async def command(self, address: str, agent: str, command: Command) -> bool:
        """Returns whether it was so already. Raises Failure where the host refuses or is silent."""


@dataclass(frozen=True, slots=True)
class _Running:
    aim: Aim
    outcome: asyncio.Future[Done | Failure]


class Commands:
    """Each is done once. One that is begun goes on if its caller stops waiting."""

    def __init__(self, crew: Crew, hosts: HostCommands, record: Record, news: News) -> None:
        self._crew, self._hosts, self._record, self._news = crew, hosts, record, news
        self._errands = Errands()
        self._known: OrderedDict[str, _Running] = OrderedDict()
        # Of no call: what one asks for outlives its deadline.
        self._context = copy_context()

    async def run(self, command: Command) -> Done:
        """What was done; after 20 s what is being done. Raises TargetUnknown, GroupSharesHost,
        Unreachable where it cannot be recorded, and what a host refuses with.
        """
        running = self._known.get(command.request_id) or self._begin(command)
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_WITHIN_S):
                done = await asyncio.shield(running.outcome)
                if isinstance(done, Failure):
                    raise done
                return done
        return _done(running.aim, was_so_already=False)

    async def end(self) -> None:
        await self._errands.end(grace_s=0)

    def _begin(self, command: Command) -> _Running:
        aim = aimed(command.target, self._crew.posts(), self._crew.wanted.machine)
        running = _Running(_meant(aim, command.verb), asyncio.get_running_loop().create_future())
        if command.request_id:
            self._known[command.request_id] = running
            if len(self._known) > _KNOWN_MAX:
                self._known.popitem(last=False)
        self._errands.start(self._fill(running, command), self._context.copy())
        return running

    async def _fill(self, running: _Running, command: Command) -> None:
        try:
            await self._record.begun(command)
            done: Done | Failure = await self._done(running.aim, command)
            self._record.ended(command, done)
        except Unreachable as error:
            done = error
        if isinstance(done, Failure):
            # Nothing, or not all, was done: the same may be asked for again.
            self._known.pop(command.request_id, None)
        if not running.outcome.done():
            running.outcome.set_result(done)

    async def _done(self, aim: Aim, command: Command) -> Done | Failure:
        try:
            return _done(aim, was_so_already=await self._run(aim, command))
        except Failure as error:
            return error

    async def _run(self, aim: Aim, command: Command) -> bool:
        if aim.agents:
            return await self._ask(aim.agents, command)
        if command.verb in {pb.VERB_DRAIN, pb.VERB_RETURN}:
            each = [(post, one.name) for post in aim.hosts for one in post.order.planned.agents]
            return await self._ask(each, command)
        if command.verb in _DOWN:
            return await self._stop(aim.hosts)
        if command.verb in _UP:
            return await self._start(aim.hosts)
        await asyncio.gather(*(post.refill(post.order) for post in aim.hosts))
        await self._served(aim.hosts)
        return False

    async def _ask(self, agents: Sequence[tuple[Post, str]], command: Command) -> bool:
        """All of them at once; a refusal is raised once each was asked."""
        asked = (self._asked(post, name, command) for post, name in agents)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return all(answers)

    async def _asked(self, post: Post, agent: str, command: Command) -> bool:
        if post.is_stopped and command.verb in _DOWN:
            return True
        if not post.is_filled:
            raise HostDown("its host has no process that could be asked", host=post.name)
        return await self._hosts.command(post.order.address, agent, command)

    async def _start(self, posts: Sequence[Post]) -> bool:
        # One that is half way out would take this for done.
        await self._news.until(lambda: not any(post.is_draining for post in posts))
        was_so = all(post.is_filled for post in posts)
        for post in posts:
            post.fill()
        self._crew.note_stopped()
        await self._served(posts)
        return was_so

    async def _stop(self, posts: Sequence[Post]) -> bool:
        was_so = not any(post.is_filled for post in posts)
        for post in posts:
            post.is_stopped = True
        self._crew.note_stopped()
        await asyncio.gather(*(post.empty() for post in posts))
        return was_so

    async def _served(self, posts: Sequence[Post]) -> None:
        """Waits for it, but not for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self._news.until(lambda: all(one.serves or one.gave_up for one in posts))


def _meant(aim: Aim, verb: pb.Verb.ValueType) -> Aim:
    """Of an agent that is to run, its host where that is down: nobody else can be asked."""
    down = tuple(dict.fromkeys(post for post, _ in aim.agents if not post.is_filled))
    return Aim(down) if down and verb in {*_UP, pb.VERB_RESTART} else aim


def _done(aim: Aim, *, was_so_already: bool) -> Done:
    return Done([post.name for post in aim.hosts], aim.instances, was_so_already)
