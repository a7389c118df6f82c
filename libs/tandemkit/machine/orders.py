"""What each host of a machine is to be: made of the plan, compared by digest."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from functools import cached_property

from tandem.control.v1 import machine_pb2 as nouns
from tandem.fleet.v1.plan_pb2 import PlannedHost, PlannedMachine, PlannedPart
from tandemkit.core.errors import Failure
from tandemkit.fleet.needs import REGISTRY
from tandemkit.machine.code import Code, digest_of
from tandemkit.machine.home import Home

# The contract that a supervisor itself serves: its host needs no process of its own.
MACHINE = "tandem.control.v1.MachineService"


class PlanUnusable(Failure):
    """The plan cannot be run on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Site:
    """What all hosts of the machine have in common."""

    machine: str
    # Listened on, and told to callers.
    listen: str
    callers: str
    controls: tuple[str, ...]
    # Whether they keep their state in a store of the fleet's, and not in files.
    has_store: bool = False
    profile: str = ""


@dataclass(frozen=True)
class Order:
    """One host as it is wanted. Hosts with the same digest need not be started anew; ports are no
    part of it, for a host keeps those that it has. A server of others is a host without agents,
    made of its `part`.
    """

    planned: PlannedHost
    site: Site
    code: str
    part: PlannedPart | None = None

    @property
    def name(self) -> str:
        return self.planned.name

    @classmethod
    def of_stray(cls, host: str, site: Site) -> Order:
        """Of one that runs and that no plan knows: it can only be ended."""
        return cls(PlannedHost(name=host), site, "")

    @classmethod
    def of_part(cls, part: PlannedPart, site: Site) -> Order:
        """Of a server that the fleet stands on."""
        return cls(PlannedHost(name=part.name), site, "", part)

    @property
    def needs_secrets(self) -> bool:
        """Whether any of its agents may have some."""
        return any(one.secrets or one.optional_secrets for one in self.planned.agents)

    @property
    def is_control(self) -> bool:
        """Whether the others cannot be found without it."""
        return any(one.service == REGISTRY for one in self.planned.agents)

    @property
    def is_never_given_up(self) -> bool:
        """Whether the others would wait for it however often it fails."""
        return self.is_control or self.part is not None

    @property
    def address(self) -> str:
        """Where it answers."""
        return _joined(self.site.listen, self.planned.grpc_port)

    @property
    def http_address(self) -> str:
        return _joined(self.site.listen, self.planned.http_port)

    @cached_property
    def digest(self) -> str:
        if self.part is not None:
            return digest_of((self.part.SerializeToString(deterministic=True),))
        planned = PlannedHost()
        planned.CopyFrom(self.planned)
        planned.grpc_port = planned.http_port = planned.layer = 0
        for agent in planned.agents:
            agent.layer = 0
            agent.ClearField("priority")
            del agent.waits_for[:]
        site = self.site
        store = str(site.has_store)
        said = (
            site.machine,
            site.profile,
            site.listen,
            site.callers,
            *site.controls,
            store,
            self.code,
        )
        parts = (planned.SerializeToString(deterministic=True), *(one.encode() for one in said))
        return digest_of(parts)

    def options(self, home: Home) -> tuple[str, ...]:
        """The command line of the host."""
        site = self.site
        return (
            *("--listen", self.address, "--http", self.http_address),
            *("--state", str(home.state), "--token-file", str(home.token)),
            *("--control", ",".join(site.controls), "--machine", site.machine),
            *("--profile", site.profile),
            *("--group", self.name, "--host-name", f"{site.machine}-{self.name}"),
            *("--advertise", site.callers, "--pulse", str(home.pulses / self.name)),
            *(("--state-store", str(home.state_store)) if site.has_store else ()),
            *(("--secrets", str(home.secrets.host(self.name))) if self.needs_secrets else ()),
            *self._limits(),
        )

    def _limits(self) -> tuple[str, ...]:
        """What the plan allows the process at most."""
        planned = self.planned
        said = {
            "--memory-mib-max": str(planned.memory_mib_max or ""),
            "--cpus-max": f"{planned.cpus_max:g}" if planned.cpus_max else "",
            "--cpu-cores": ",".join(map(str, planned.cpu_cores)),
        }
        return tuple(part for name, value in said.items() if value for part in (name, value))


def planned_machine(wanted: nouns.WantedMachine) -> PlannedMachine:
    """This machine's part of the plan. Raises PlanUnusable."""
    for machine in wanted.plan.machines:
        if machine.name == wanted.machine:
            return machine
    names = ", ".join(one.name for one in wanted.plan.machines) or "none"
    raise PlanUnusable("the plan lacks this machine", machine=wanted.machine, planned=names)


def site_of(wanted: nouns.WantedMachine) -> Site:
    """Raises PlanUnusable where no control is known, or the machine's address leads nowhere."""
    machine = planned_machine(wanted)
    callers = _resolved(machine.address)
    listen = wanted.listen or callers
    controls = tuple(wanted.controls)
    if not controls:
        control = next((one for one in machine.hosts if serves(one, REGISTRY)), None)
        if control is None:
            raise PlanUnusable("neither the machine nor whoever asks names a control")
        controls = (_joined(callers, control.grpc_port),)
    has_store = wanted.plan.HasField("state")
    return Site(machine.name, listen, callers, controls, has_store, wanted.plan.profile)


def serves(host: PlannedHost, service: str) -> bool:
    return any(one.service == service for one in host.agents)


def orders_of(wanted: nouns.WantedMachine, code: Code) -> dict[str, Order]:
    """All that need a process of their own. Raises PlanUnusable."""
    site, machine = site_of(wanted), planned_machine(wanted)
    parts = {part.name: Order.of_part(part, site) for part in machine.parts}
    hosts = {
        host.name: Order(host, site, _code_of(host, code))
        for host in machine.hosts
        if not serves(host, MACHINE)
    }
    return parts | hosts


def _code_of(host: PlannedHost, code: Code) -> str:
    """Where a program of another language stands changes with its sources, and says it all."""
    return "" if host.runtime else code.of(one.service for one in host.agents)


def own_host(wanted: nouns.WantedMachine) -> PlannedHost:
    """The supervisor's own place in the plan. Raises PlanUnusable."""
    for host in planned_machine(wanted).hosts:
        if serves(host, MACHINE):
            if len(host.agents) > 1:
                raise PlanUnusable(
                    "the supervisor shares its process with no agent", host=host.name
                )
            return host
    raise PlanUnusable("the plan has no host for the supervisor: add the group `machine`")


def _resolved(address: str) -> str:
    """The registry takes numbers."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        pass
    try:
        return socket.gethostbyname(address)
    except OSError as error:
        message = "the machine's address is not known here"
        raise PlanUnusable(message, address=address) from error


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
