"""What `up` keeps before it replaces what runs: a checkpoint to go back to."""

from __future__ import annotations

import click

from tandem.control.v1 import checkpoint_pb2 as pb
from tandem.control.v1 import machine_pb2 as nouns
from tandemkit.cli.checkpointing import checkpointed
from tandemkit.cli.output import Refusal
from tandemkit.cli.shelving import name_now, refusals, size_text
from tandemkit.core.environment import Environment
from tandemkit.machine.checkpoints.belongings import belongings
from tandemkit.machine.checkpoints.building import build_of, deployed, differences
from tandemkit.machine.checkpoints.filling import Wish
from tandemkit.machine.checkpoints.servers import exports_of
from tandemkit.machine.checkpoints.shelf import Shelf
from tandemkit.machine.code import Code
from tandemkit.machine.home import Home
from tandemkit.machine.orders import orders_of, planned_machine
from tandemkit.machine.record import records

# Up to here it takes some seconds at most, so nobody has to ask for it.
_UNASKED_BYTES_MAX = 256 * 1024 * 1024
_PREFIX, _KEPT = "before-deployment-", 5

option = click.option(
    "--checkpoint/--no-checkpoint",
    default=None,
    help="Keep the state before what ran is replaced (default: where it is small).",
)


async def kept_before(
    environment: Environment, home: Home, wanted: nouns.WantedMachine, *, asked: bool | None
) -> str:
    """The name of the checkpoint; empty where none was made. Refusal where one was asked for and
    cannot be made; unasked, that is said and no more.
    """
    if asked is False or not _replaces(environment, home, wanted):
        return ""
    size = belongings(home).size
    if asked is None and size > _UNASKED_BYTES_MAX:
        said = f"{size_text(size)} of state are not kept before this; --checkpoint does"
        click.echo(f"tandem: {said}.", err=True)
        return ""
    try:
        with refusals(), Shelf(home).alone():
            return await _kept(environment, home, wanted)
    except Refusal as refusal:
        if asked:
            raise
        click.echo(f"tandem: nothing is kept before this: {refusal.message}", err=True)
        return ""


async def _kept(environment: Environment, home: Home, wanted: nouns.WantedMachine) -> str:
    before = home.wanted
    wish = Wish(
        name_now(Shelf(home), _PREFIX),
        pb.CHECKPOINT_KIND_BEFORE_DEPLOYMENT,
        wanted.note,
        deployed(home) or build_of(environment, before),
        before,
        exports=exports_of(before),
    )
    return (await checkpointed(home, wish, _KEPT)).kept.name


def _replaces(environment: Environment, home: Home, wanted: nouns.WantedMachine) -> bool:
    """Whether a host that runs is going to be another one; where none runs, whether another version
    ran last.
    """
    before = home.wanted
    if before is None:
        last = deployed(home)
        has_state = bool(belongings(home).databases)
        return has_state and (
            last is None or bool(differences(last, build_of(environment, wanted)))
        )
    there = nouns.WantedMachine()
    there.CopyFrom(wanted)
    ports = {host.name: host for machine in before.plan.machines for host in machine.hosts}
    for host in planned_machine(there).hosts:
        if host.name in ports:
            host.grpc_port = ports[host.name].grpc_port
            host.http_port = ports[host.name].http_port
    orders = orders_of(there, Code(environment.root, environment.stubs))
    running = records(home.hosts)
    return any(
        name not in orders or orders[name].digest != one.digest for name, one in running.items()
    )
