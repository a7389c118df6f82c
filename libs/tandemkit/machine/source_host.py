"""One planned host from source: imports the agents that its part of the plan names, and serves
them. Built hosts have a static main instead.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tandem.fleet.v1.plan_pb2 import PlannedHost
from tandemkit.hosting.adding import settings_of
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.entrusted import Needed
from tandemkit.hosting.host import Placed
from tandemkit.hosting.main import serve_placed
from tandemkit.machine.loading import agent_of

_EXIT_USAGE = 2


def main() -> None:
    """`PLAN OPTIONS...`: the file holds one PlannedHost; options are those of every host."""
    path, *arguments = sys.argv[1:]
    try:
        host = PlannedHost.FromString(Path(path).read_bytes())
        placed = tuple(placed_of(host))
    except (OSError, LookupError) as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(_EXIT_USAGE) from error
    serve_placed(placed, arguments, _of_python)


def _of_python(service: str) -> Agent:
    agent = agent_of(service)
    if agent.runtime:
        raise LookupError(f"{agent.name} is written in another language")
    return agent


def placed_of(host: PlannedHost) -> Iterator[Placed]:
    """Its agents with their settings. Raises LookupError where one of them is not there."""
    for one in host.agents:
        agent = agent_of(one.service)
        needed = Needed(tuple(one.secrets), tuple(one.optional_secrets))
        yield Placed(agent, settings_of(agent, one), one.name, needed)


if __name__ == "__main__":
    main()
