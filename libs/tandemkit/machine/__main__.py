"""`python -m tandemkit.machine`: the supervisor of one machine's part of a fleet, in TANDEM_HOME.

It is a host like any other, whose one agent keeps the others: docs/design/machine.md.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack

from tandem.control.v1 import machine_pb2 as pb
from tandemkit.core.environment import Environment
from tandemkit.core.errors import Failure
from tandemkit.core.lock import InUse, alone
from tandemkit.hosting.host import Placed
from tandemkit.hosting.main import serve_placed
from tandemkit.machine.home import Home
from tandemkit.machine.loading import agent_of
from tandemkit.machine.orders import MACHINE, Order, own_host, planned_machine, site_of
from tandemkit.machine.places import with_ports
from tandemkit.supervise.marks import Mark
from tandemkit.supervise.ports import PortsTaken
from tandemkit.supervise.ports import held as claims_of

_EXIT_USAGE = 2


def main() -> None:
    """Until SIGTERM, or until it has ended the fleet."""
    home = Home(Environment.read().home)
    try:
        home.prepare()
        with alone(home.lock), ExitStack() as held:
            _serve(home, _settled(home, held))
    except InUse:
        sys.stderr.write(f"another supervisor runs in {home.folder}\n")
        raise SystemExit(_EXIT_USAGE) from None
    except (Failure, PortsTaken) as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(_EXIT_USAGE) from error


def _settled(home: Home, held: ExitStack) -> pb.WantedMachine:
    """What is wanted here, with the ports that its hosts have."""
    wanted = home.wanted
    if wanted is None:
        sys.stderr.write(f"no plan was applied in {home.folder}: ./tandem up does that\n")
        raise SystemExit(_EXIT_USAGE)
    if not wanted.generation:
        wanted = with_ports(wanted, {}, held)
        wanted.generation = 1
        home.want(wanted)
        return wanted
    # Its hosts listen, or will: who comes between two of their lives is not to have their ports.
    hosts = planned_machine(wanted).hosts
    ports = [port for host in hosts for port in (host.grpc_port, host.http_port)]
    for claim in claims_of(site_of(wanted).listen, ports):
        held.enter_context(claim)
    return wanted


def _serve(home: Home, wanted: pb.WantedMachine) -> None:
    own, site = own_host(wanted), site_of(wanted)
    order = Order(own, site, "")
    # Where it answers stands there before who it is, which commands wait for.
    home.note(site.machine, site.controls, order.address)
    mark = Mark.of(os.getpid())
    if mark is not None:
        home.say_supervisor(mark)
    home.beat()
    agent = agent_of(MACHINE)
    # Of all that serve this contract, the one of this machine is reached by its name.
    instance = f"{agent.name}-{site.machine}"
    options = list(order.options(home))
    if home.socket is not None:
        options += ["--socket", str(home.socket)]
    try:
        serve_placed(
            (Placed(agent, agent.settings() if agent.settings else None, instance),), options
        )
    finally:
        if home.socket is not None:
            home.socket.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
