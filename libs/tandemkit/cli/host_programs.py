"""The programs of hosts that are not Python: built, or found built, before `up` starts them. What
cannot be built keeps nobody else from starting.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from tandem.fleet.v1.plan_pb2 import Plan
from tandem.fleet.v1.runtime_pb2 import RUNTIME_GO, RUNTIME_NODE, Runtime
from tandemkit.cli import go_host, node_host
from tandemkit.cli.checkout import cache_of
from tandemkit.cli.output import Refusal
from tandemkit.cli.steps import StepFailure, Steps
from tandemkit.core.environment import Environment
from tandemkit.fleet import asks
from tandemkit.fleet.leaving_out import leave_out

# Gives what starts the program, whose path changes with its sources. Raises StepFailure where the
# build fails, and Refusal where the machine lacks the tools for it.
Make = Callable[[Environment, Steps], Awaitable[tuple[str, ...]]]
Makes = Mapping[Runtime.ValueType, Make]


async def _node(environment: Environment, steps: Steps) -> tuple[str, ...]:
    return (await node_host.obtain(environment, steps)).argv


async def _go(environment: Environment, steps: Steps) -> tuple[str, ...]:
    return (str((await go_host.obtain(environment, steps)).program),)


MAKES: Makes = {RUNTIME_NODE: _node, RUNTIME_GO: _go}
# Of an agent that joins the fleet once its host's program is built.
LATE = "its program is built while the others serve"


async def _node_if_built(environment: Environment, steps: Steps) -> tuple[str, ...]:
    if not node_host.is_built(environment):
        raise Refusal(LATE)
    return await _node(environment, steps)


async def _go_if_built(environment: Environment, steps: Steps) -> tuple[str, ...]:
    if not go_host.is_built(environment):
        raise Refusal(LATE)
    return await _go(environment, steps)


# For a first start, which does not wait for builds.
BUILT: Makes = {RUNTIME_NODE: _node_if_built, RUNTIME_GO: _go_if_built}


def is_late(plan: Plan) -> bool:
    """Whether somebody was left out who can join later."""
    return any(one.why == LATE for one in plan.absent)


async def fit(plan: Plan, environment: Environment, logs: Path, makes: Makes = MAKES) -> None:
    """Gives each host of another language its program, or leaves it out of the plan with the
    reason. `logs` keeps what a build said that failed.
    """
    hosts = [host for machine in plan.machines for host in machine.hosts if host.runtime]
    fitting = _Fitting(environment, logs, makes)
    whys: dict[str, str] = {}
    for runtime in sorted({host.runtime for host in hosts}):
        own = [host for host in hosts if host.runtime == runtime]
        program, why = await fitting.program(runtime)
        for host in own:
            host.program[:] = program
        whys |= {host.name: why for host in own if why}
    if whys:
        leave_out(plan, whys)


class _Fitting:
    """One look at the programs."""

    def __init__(self, environment: Environment, logs: Path, makes: Makes) -> None:
        self._environment, self._logs, self._makes = environment, logs, makes

    async def program(self, runtime: Runtime.ValueType) -> tuple[tuple[str, ...], str]:
        """What starts it, and why nothing does; one of the two is empty."""
        language = asks.language(runtime)
        if runtime not in self._makes:
            return (), f"this release runs no hosts in {language}"
        steps = Steps(sys.stderr, cache_of(self._environment))
        try:
            return await self._makes[runtime](self._environment, steps), ""
        except Refusal as refusal:
            return (), str(refusal).rstrip(".")
        except StepFailure as failure:
            log = self._logs / f"build-{language}.log"
            log.write_text(failure.output)
            return (), f"{failure.step} failed: {failure.reason} ({log} has the rest)"
