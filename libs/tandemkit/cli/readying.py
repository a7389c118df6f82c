"""What each command that starts a fleet does before: secrets leave its environment for the fleet,
and hosts of other languages are given their programs.
"""

from __future__ import annotations

import click

from tandem.control.v1 import machine_pb2 as nouns
from tandemkit.cli import host_programs
from tandemkit.cli.secret_taking import Taking, taken_along
from tandemkit.core.environment import Environment
from tandemkit.fleet.plan import Blueprint
from tandemkit.machine.home import Home


async def readied(
    wanted: nouns.WantedMachine,
    environment: Environment,
    home: Home,
    *,
    written: Blueprint | None = None,
    makes: host_programs.Makes = host_programs.MAKES,
) -> Environment:
    """The environment to go on with: nothing that is started with it can know a secret. Raises
    Refusal where `written`, of which the plan was made now, demands a secret that nobody has; a
    plan of before (None) was checked then.
    """
    if written is None:
        environment = taken_along(wanted, environment, home)
    else:
        taking = Taking(written, wanted, environment)
        environment = taking.wiped()
        if remark := await taking.checked(home):
            click.echo(f"tandem: {remark}", err=True)
    # They may have to be built, or fetched.
    await host_programs.fit(wanted.plan, environment, home.logs, makes)
    return environment
