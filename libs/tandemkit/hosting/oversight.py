"""What the supervisor of a machine sees of one of its hosts, and asks of the agents in it. The kit
answers it on every host. Contract: tandem.control.v1.HostService.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from datetime import timedelta

from tandem.control.v1 import errors_pb2 as errors
from tandem.control.v1 import host_service_pb2 as pb
from tandem.control.v1 import host_service_pb2_grpc as rpc
from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import traffic_policy_pb2 as policy
from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.core.clock import Clock, until_next_s
from tandemkit.core.errors import CallerError
from tandemkit.hosting.adding import Adding
from tandemkit.hosting.news import News
from tandemkit.hosting.standing import Condition, worded
from tandemkit.hosting.tenants import Tenant, Tenants
from tandemkit.rpc import failure
from tandemkit.rpc.context import Context
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.failure import Refused
from tandemkit.rpc.health import Health
from tandemkit.supervise.alarm import Alarm
from tandemkit.supervise.reports import Asked
from tandemkit.supervise.supervisor import NotSupervising
from tandemkit.telemetry.process import Usage

HOST_SERVICE = Contract.of(pb.DESCRIPTOR)
# How old what is told of memory and CPU may be.
USAGE_S_MAX = 5.0
# Less than the method's deadline, so that whoever asked hears how it stands.
_ANSWER_WITHIN_S = 20.0
_NEAR_MAX = 3


class Oversight(rpc.HostServiceServicer):
    def __init__(
        self, tenants: Tenants, adding: Adding, health: Health, news: News, clock: Clock
    ) -> None:
        self._tenants, self._adding = tenants, adding
        self._health, self._news, self._clock = health, news, clock

    async def WatchHost(
        self, _request: pb.WatchHostRequest, _context: Context
    ) -> AsyncIterator[pb.WatchHostResponse]:
        with self._news.heard() as changed:
            alarm = Alarm(self._clock, changed.set)
            try:
                while True:
                    changed.clear()
                    said = self._said()
                    yield said
                    if said.draining:
                        return
                    alarm.set_to(self._clock.monotonic_s() + until_next_s(self._clock, USAGE_S_MAX))
                    await changed.wait()
            finally:
                await alarm.end()

    async def CommandAgent(
        self, request: pb.CommandAgentRequest, _context: Context
    ) -> pb.CommandAgentResponse:
        tenant = self._tenant(request.agent)
        asked = _asked(request.note)
        was_so = await self._do(request.verb, tenant, asked)
        return pb.CommandAgentResponse(agent=self._standing(tenant), was_so_already=was_so)

    async def AddAgent(self, request: pb.AddAgentRequest, _context: Context) -> pb.AddAgentResponse:
        asked = _asked(request.note)
        tenant, was_so = await self._adding.add(request.agent, asked, _ANSWER_WITHIN_S)
        return pb.AddAgentResponse(agent=self._standing(tenant), was_so_already=was_so)

    async def RemoveAgent(
        self, request: pb.RemoveAgentRequest, _context: Context
    ) -> pb.RemoveAgentResponse:
        was_so = await self._adding.remove(request.name, _asked(request.note), _ANSWER_WITHIN_S)
        return pb.RemoveAgentResponse(was_so_already=was_so)

    def _tenant(self, name: str) -> Tenant:
        known = self._tenants.by_name
        if name not in known:
            near = ", ".join(difflib.get_close_matches(name, known, n=_NEAR_MAX))
            reason = errors.ERROR_REASON_AGENT_NOT_ON_HOST
            message = "the host has no agent of that name"
            raise CallerError(reason, message, field="agent", name=name, near=near)
        return known[name]

    async def _do(self, verb: nouns.Verb.ValueType, tenant: Tenant, asked: Asked) -> bool:
        """Returns whether there was nothing to do."""
        match verb:
            case nouns.VERB_START | nouns.VERB_RESUME:
                return not tenant.standing.is_down or await self._begin(tenant, asked)
            case nouns.VERB_STOP:
                is_so = tenant.standing.wanted is Condition.STOPPED
                return is_so or await self._end(tenant, Condition.STOPPED, asked)
            case nouns.VERB_SUSPEND:
                is_so = tenant.standing.is_down
                return is_so or await self._end(tenant, Condition.SUSPENDED, asked)
            case nouns.VERB_RESTART:
                return await self._restart(tenant, asked)
            case nouns.VERB_DRAIN:
                return _turned(tenant, Condition.SERVING, Condition.DRAINING, asked)
            case _:
                return _turned(tenant, Condition.DRAINING, Condition.SERVING, asked)

    async def _begin(self, tenant: Tenant, asked: Asked) -> bool:
        tenant.standing.cause = f"it is started by {worded(asked)}"
        tenant.want(Condition.SERVING, asked)
        return await _soon(self._tenants.supervisor.resume(tenant.name, asked))

    async def _end(self, tenant: Tenant, wanted: Condition, asked: Asked) -> bool:
        _check_loose(tenant)
        tenant.want(wanted, asked)
        return await _soon(self._tenants.supervisor.suspend(tenant.name, asked))

    async def _restart(self, tenant: Tenant, asked: Asked) -> bool:
        _check_loose(tenant)
        if tenant.standing.is_down:
            return await self._begin(tenant, asked)
        tenant.expect(f"it is restarted by {worded(asked)}")
        return await _soon(self._tenants.supervisor.restart(tenant.name, asked))

    def _said(self) -> pb.WatchHostResponse:
        usage = Usage.now()
        said = pb.WatchHostResponse(
            agents=map(self._standing, self._tenants.by_name.values()),
            draining=self._health.draining,
            memory_bytes=usage.memory_bytes or 0,
        )
        said.cpu.FromNanoseconds(int(usage.cpu_s * 1e9))
        return said

    def _standing(self, tenant: Tenant) -> nouns.AgentStanding:
        standing = tenant.standing
        condition, cause = standing.condition(self._health)
        said = nouns.AgentStanding(
            name=standing.name,
            service=standing.service,
            state=nouns.AgentState.Value(f"AGENT_STATE_{condition}"),
            cause=cause or "",
            restarts=standing.restarts,
            added=standing.added,
            calls_in_progress=tenant.seating.calls,
            missing_secrets=standing.missing_secrets,
        )
        ago_s = tenant.seating.called_s_ago
        if ago_s is not None:
            said.last_call_time.FromDatetime(self._clock.now() - timedelta(seconds=ago_s))
        return said


def _asked(note: policy.ChangeNote) -> Asked:
    return Asked(note.author, note.reason)


def _turned(tenant: Tenant, before: Condition, after: Condition, asked: Asked) -> bool:
    """Returns whether it was not `before`, and stays as it is."""
    if tenant.standing.wanted is not before:
        return True
    tenant.want(after, asked)
    return False


def _check_loose(tenant: Tenant) -> None:
    if tenant.reaches_host:
        reason = errors.ERROR_REASON_AGENT_BOUND_TO_HOST
        message = "the agent ends and begins with its host alone; restart the host"
        raise CallerError(reason, message, name=tenant.name)


async def _soon(work: Awaitable[None]) -> bool:
    """Waits for it, not for ever: what was asked for holds all the same. Returns that it was not so
    already.
    """
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                await work
    except NotSupervising as error:
        reason = platform.PLATFORM_ERROR_REASON_DRAINING
        raise Refused(failure.of_platform(reason, "the host ends")) from error
    return False
