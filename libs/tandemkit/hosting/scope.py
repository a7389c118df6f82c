"""What an agent is given when it is built, besides its settings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import grpc

from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.core.secret import Secret
from tandemkit.core.token import Token
from tandemkit.hosting.agent_caller import AgentCaller
from tandemkit.hosting.callees import Callees
from tandemkit.hosting.entrusted import Entrusted, FollowedSecret
from tandemkit.hosting.http_port import Pages, Paths, Posts
from tandemkit.hosting.kept import Kept
from tandemkit.hosting.relay import Relay
from tandemkit.hosting.working import Workshop, class_served
from tandemkit.rpc.attempts import Near
from tandemkit.rpc.elsewhere import Elsewhere
from tandemkit.rpc.server import Server
from tandemkit.storage.state.owned import State
from tandemkit.supervise.roll.registry import ProcessRegistry
from tandemkit.supervise.tasks import Tasks, failure_of
from tandemkit.supervise.workers import Account, Crew, Workers
from tandemkit.telemetry.exposition import Measure

Check = Callable[[], Awaitable[object]]
Stub = TypeVar("Stub")
# An agent that does not say how it is in that time is not well, and hangs if it does so again.
CHECK_S_MAX = 5.0


class Unanswered(Failure):
    """A check neither returned nor raised in time."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the host says over HTTP of its agents: pages and what may be sent there, and of this
    instance what its own processes did and what it measures.
    """

    paths: Paths
    accounts: list[Account]
    measures: list[Measure]


@dataclass(frozen=True, slots=True)
class Where:
    """The machine that the host runs on, and the profile that its fleet runs; empty for none."""

    machine: str
    profile: str


@dataclass(frozen=True)
class Scope:
    """One instance's place in its host. It lives as long as what `build` makes."""

    name: str  # the instance: the agent's short name, or that with a suffix
    clock: Clock
    state_dir: Path  # its own, and there again after a restart
    processes: ProcessRegistry  # who runs under which name in this host
    where: Where
    _tasks: Tasks
    _server: Server
    _callees: Callees
    _kept: Kept
    _shown: Shown
    _entrusted: Entrusted
    # What is asked until it has answered well once, and what for as long as the instance lives.
    _conditions: list[Check] = field(default_factory=list)
    _checks: list[Check] = field(default_factory=list)
    _has_questions: asyncio.Event = field(default_factory=asyncio.Event)
    _reached: list[str] = field(default_factory=list)

    def ready_when(self, check: Check) -> None:
        """Serves only while `check` returns; what it raises is logged as the reason why not."""
        self._checks.append(check)
        self._has_questions.set()

    def begins_when(self, condition: Check) -> None:
        """The same, until it has returned once: what it says later is nobody's question."""
        self._conditions.append(condition)
        self._has_questions.set()

    def spawn(self, name: str, work: Coroutine[object, object, None]) -> None:
        """Runs `work` until the instance ends. Its failure ends the instance, which is built again
        while the other agents of the host go on.
        """
        self._tasks.spawn(f"{self.name}:{name}", work)

    def workers(self, crew: Crew | None = None) -> Workshop:
        """Processes of its own for work that would hold the loop of the host. They start when there
        is work, take calls by class, and end with the instance.
        """
        workers = Workers(crew or Crew(), self.state_dir, self.clock, class_served)
        self.spawn("workers", workers.keep())
        self._shown.accounts.append(workers.account)
        return Workshop(workers)

    def stub(self, make: Callable[[grpc.aio.Channel], Stub], at_once_max: int = 0) -> Stub:
        """A stub of another agent, made of the generated class: `scope.stub(EmbedServiceStub)`. Its
        calls find the agent wherever it serves, in this process first; with `at_once_max` no more
        of them are in progress, and others fail with BULKHEAD_FULL. Raises Bug where AGENT declares
        it neither in `calls` nor in `soft_calls`.
        """
        return self._callees.stub(make, at_once_max)

    def caller(self) -> AgentCaller:
        """Makes calls of any agent that are given as messages. Raises Bug where AGENT does not say
        `calls_any=True`.
        """
        return self._callees.caller()

    def relay(self) -> Relay:
        """The same for callers of the agent's own, with what these show."""
        return self._callees.relay(self._server.token, self._server.callers)

    async def state(self) -> State:
        """What the instance must still know after its process has died: messages by key, in the
        store that the fleet chose, on disk when a write returns. For `build`: closed behind all
        else; nothing is served while it cannot be read. Raises Unreachable, InUse, Damaged.
        """
        state = await self._kept.state()
        if state.check not in self._checks:
            self.ready_when(state.check)
        return state

    def secret(self, name: str) -> FollowedSecret:
        """One that the stanza declares, required or optional, followed from now on: `reveal()`
        returns its value of the moment. Raises Bug for any other.
        """
        return self._entrusted.follow(name)

    def require_secret(self, name: str) -> Secret:
        """Its value of now. Raises SecretMissing, a ValueError `Missing required ...`, where it has
        none: an optional one, for a required one is there before the agent is built.
        """
        return self._entrusted.follow(name).secret

    @property
    def near(self) -> Near:
        """For the control plane's own agents, whose calls within this host neither mesh nor policy
        routes: they make both. Any other agent has `stub`.
        """
        return self._server.local.inside

    def show(self, path: str, pages: Pages) -> None:
        """Has the host's HTTP port answer GET for `path` and all below it, in the thread of the
        loop and without waiting. Whoever reaches the port reads it: docs/design/hosts.md.
        """
        self._shown.paths.pages[path] = pages

    def measure(self, measure: Measure) -> None:
        """Has `/metrics` tell these families too, with the label `agent`; as quick as a page."""
        self._shown.measures.append(measure)

    def take(self, path: str, posts: Posts) -> None:
        """The same for what is POSTed there, 64 KiB at most and with the fleet's token."""
        self._shown.paths.posts[path] = posts

    def answer_for(self, elsewhere: Elsewhere) -> Callable[[], None]:
        """Has the host answer for agents that it does not serve. What is returned tells watchers of
        a change. Whoever asks for this, or for `serve_also`, takes the host with it if it fails.
        """
        self._reached.append("answer_for")
        return self._server.answer_for(elsewhere)

    @property
    def token(self) -> Token | None:
        """For the same: what calls to another control have to show."""
        return self._server.token

    def serve_also(
        self, handler: grpc.GenericRpcHandler, drain: Callable[[], None], *, public: bool = False
    ) -> None:
        """Serves what is none of our contracts on the host's port, perhaps without asking for the
        token; `drain` ends its streams when the host does.
        """
        self._reached.append("serve_also")
        self._server.also(handler, drain, public=public)

    @property
    def reaches_host(self) -> bool:
        """Whether it changed its host in a way that nothing takes back."""
        return bool(self._reached)

    async def unwell(self) -> Exception | None:
        """Why the instance cannot serve now; None where it can."""
        for condition in tuple(self._conditions):
            error = await failure_of(_in_time(condition))
            if error is not None:
                return error
            self._conditions.remove(condition)
        for check in self._checks:
            error = await failure_of(_in_time(check))
            if error is not None:
                return error
        if not self._checks:
            self._has_questions.clear()
        return None

    async def questioned(self) -> None:
        """Returns while there is something to ask it: an agent without a check costs no looks."""
        await self._has_questions.wait()


async def _in_time(check: Check) -> None:
    limit = asyncio.timeout(CHECK_S_MAX)
    try:
        async with limit:
            await check()
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise Unanswered("it does not say how it is", within_s=CHECK_S_MAX) from error
