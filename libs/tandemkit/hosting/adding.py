"""Instances that come to a running host, and go again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from google.protobuf.message import Message

from tandem.control.v1 import errors_pb2 as errors
from tandem.fleet.v1.plan_pb2 import PlannedAgent
from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.core.names import AgentName
from tandemkit.core.redaction import redacted
from tandemkit.hosting.entrusted import Needed
from tandemkit.hosting.tenants import Tenant, Tenants
from tandemkit.rpc import failure, validation
from tandemkit.rpc.failure import Refused
from tandemkit.supervise.reports import Asked
from tandemkit.supervise.supervisor import NotSupervising
from tandemkit.supervise.tasks import failure_of

if TYPE_CHECKING:
    from tandemkit.hosting.agent import Agent
    from tandemkit.hosting.host import Placed

# The agent that keeps a contract, by its full name. Raises LookupError where there is none.
Program = Callable[[str], "Agent"]
Made = Callable[["Agent", Message | None, str, Needed], "Placed"]
_RETRY_S = 1.0
_CAUSE_CHARS_MAX = 500


def program_of(agents: Iterable[Agent]) -> Program:
    """What a host contains that was built of these."""
    by_service = {one.promise.service.full_name: one for one in agents}

    def find(service: str) -> Agent:
        if service not in by_service:
            raise LookupError(f"the program contains {', '.join(by_service)}")
        return by_service[service]

    return find


def settings_of(agent: Agent, planned: PlannedAgent) -> Message | None:
    """Of an instance. Raises LookupError where they are not those that the agent takes."""
    if agent.settings is None:
        if planned.HasField("settings"):
            raise LookupError(f"{agent.name} takes no settings")
        return None
    settings = agent.settings()
    if planned.HasField("settings") and not planned.settings.Unpack(settings):
        found, wanted = planned.settings.TypeName(), settings.DESCRIPTOR.full_name
        raise LookupError(f"{planned.name} is given {found}, and takes {wanted}")
    return settings


class Adding:
    """`program` says what may be added. Of one name there is one instance at a time."""

    def __init__(self, tenants: Tenants, program: Program, made: Made) -> None:
        self._tenants, self._program, self._made = tenants, program, made

    async def add(self, wanted: PlannedAgent, asked: Asked, within_s: float) -> tuple[Tenant, bool]:
        """The instance, and whether it was there before. Returns when it serves, or in time."""
        placed = self._placed(wanted)
        found = self._tenants.by_name.get(placed.name)
        if found is not None:
            _check_same(found, placed)
            return found, True
        tenant = self._tenants.begin(placed)
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                error = await failure_of(self._tenants.build(tenant, asked))
                if error is not None:
                    raise _unbuilt(placed.name, error) from error
                await self._until_it_serves(tenant)
        return tenant, False

    async def remove(self, name: str, asked: Asked, within_s: float) -> bool:
        """Returns whether there was none; in time, and then it goes on."""
        tenant = self._tenants.by_name.get(name)
        if tenant is None:
            return True
        if not tenant.standing.added:
            reason = errors.ERROR_REASON_AGENT_PLANNED
            message = "the instance belongs to the plan of its host; stop or suspend it instead"
            raise CallerError(reason, message, name=name)
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._tenants.remove(tenant, asked)
        return False

    async def _until_it_serves(self, tenant: Tenant) -> None:
        with self._tenants.site.news.heard() as changed:
            while not tenant.standing.may_serve:
                changed.clear()
                await changed.wait()

    def _placed(self, wanted: PlannedAgent) -> Placed:
        try:
            agent = self._program(wanted.service)
            owns = AgentName.of(wanted.service).owns(wanted.name)
        except (LookupError, ValueError) as error:
            reason = errors.ERROR_REASON_AGENT_NOT_IN_PROGRAM
            message = "the program of the host contains no agent of that contract"
            why = str(error)
            raise CallerError(reason, message, service=wanted.service, why=why) from error
        if not owns or wanted.name == agent.name:
            why = f"an instance that is added is called {agent.name} with a suffix after a hyphen"
            raise _refused("name", wanted, why)
        needed = Needed(tuple(wanted.secrets), tuple(wanted.optional_secrets))
        return self._made(agent, self._settings(agent, wanted), wanted.name, needed)

    def _settings(self, agent: Agent, wanted: PlannedAgent) -> Message | None:
        try:
            settings = settings_of(agent, wanted)
        except LookupError as error:
            raise _refused("settings", wanted, str(error)) from error
        broken = validation.violations(settings) if settings is not None else ()
        if broken:
            why = "; ".join(f"{one.field}: {one.description}" for one in broken)
            raise _refused("settings", wanted, why)
        return settings


def _unbuilt(name: str, error: Exception) -> Exception:
    if isinstance(error, NotSupervising):
        return Refused(
            failure.of_platform(platform.PLATFORM_ERROR_REASON_DRAINING, "the host ends")
        )
    return TransientError(
        errors.ERROR_REASON_AGENT_UNBUILT,
        "the instance could not be built; its cause says why",
        retry_after_s=_RETRY_S,
        name=name,
        cause=redacted(f"{type(error).__name__}: {error}")[:_CAUSE_CHARS_MAX],
    )


def _refused(field: str, wanted: PlannedAgent, why: str) -> CallerError:
    reason = errors.ERROR_REASON_INSTANCE_REFUSED
    message = "the instance cannot be as it is asked for"
    return CallerError(reason, message, field=f"agent.{field}", name=wanted.name, why=why)


def _check_same(found: Tenant, placed: Placed) -> None:
    same = found.placed.agent.promise.service.full_name == placed.agent.promise.service.full_name
    if not same or found.placed.settings != placed.settings:
        reason = errors.ERROR_REASON_INSTANCE_DIFFERS
        message = "another instance has that name on the host, or other settings; remove it first"
        raise CallerError(reason, message, name=placed.name, service=found.standing.service)
