"""A small fleet of two machines and seven agents, of which each test changes one thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tandem.fleet.v1 import plan_pb2 as pb
from tandem.fleet.v1 import stanza_pb2
from tandem.fleet.v1.runtime_pb2 import Runtime
from tandemkit.fleet.layout import Layout
from tandemkit.fleet.needs import REGISTRY, Calls
from tandemkit.fleet.plan import Blueprint, PlanRefused, plan
from tandemkit.fleet.stanzas import Fleet, Kinds, secrets_in
from tandemkit.written.ports import PortBook
from tandemkit.written.variables import Variables

STANZAS = """\
agents:
  - name: control-registry
    service: tandem.control.v1.RegistryService
    pool: infrastructure
  - name: text-guard
    service: tandem.text.v1.GuardService
    pool: critical
    memory_mib: 100
  - name: text-sum
    service: tandem.text.v1.SumService
    memory_mib: 40
    replicas: 2
  - name: text-tell
    service: tandem.text.v1.TellService
    memory_mib: 50
    cpu_set: 0-1
  - name: look-see
    service: tandem.look.v1.SeeService
    gpu_percent: 40
  - name: look-draw
    service: tandem.look.v1.DrawService
    gpu_percent: 30
"""
MACHINES = """\
machines:
  - name: big
    address: big
    cpu_cores: 4
    memory_mib: 2048
    gpus:
      - name: gpu0
        memory_mib: 8192
        reserved_percent: 10
  - name: small
    address: small
    cpu_cores: 2
    memory_mib: 2048
"""
GROUPS = """\
groups:
  - name: control
    agents: [control-*]
  - name: text
    agents: [text-*]
    replicas: 2
  - name: look
    agents: ["*"]
    gpu_percent: 80
    machines: [big, small]
"""
POOLS = """\
pools:
  - pool: infrastructure
    memory_mib: 400
  - pool: critical
    memory_mib: 400
    cpu_set: 1,3
  - pool: standard
    memory_mib: 400
    agent_memory_mib_max: 200
    hosts_max: 3
  - pool: emergency_reserve
    memory_mib: 100
"""
PROFILE = """\
name: both
machines: [big, small]
groups:
  - group: control
  - group: text
  - group: look
"""
ALONE = """\
name: alone
machines: [small]
replicas_max: 1
groups:
  - group: control
    host: all
  - group: text
    host: all
"""
PORTS = """\
ranges:
  - name: grpc
    first: 8200
    last: 8210
  - name: http
    first: 9100
    last: 9110
fixed:
  - name: control
    port: 8200
    range: grpc
  - name: gateway
    port: 10010
reserved:
  - port: 9100
    why: somebody else's
"""
SUM, TELL, GUARD = (f"tandem.text.v1.{name}Service" for name in ("Sum", "Tell", "Guard"))
SEE, DRAW = (f"tandem.look.v1.{name}Service" for name in ("See", "Draw"))
CALLS = {TELL: Calls(hard=(SUM,)), GUARD: Calls(soft=(TELL,))}
FLEET, LAYOUT = "fleet/text.yaml", "fleet/layout"
FILES = {
    FLEET: STANZAS,
    f"{LAYOUT}/machines.yaml": MACHINES,
    f"{LAYOUT}/groups.yaml": GROUPS,
    f"{LAYOUT}/pools.yaml": POOLS,
    "fleet/profiles/both.yaml": PROFILE,
    "fleet/profiles/alone.yaml": ALONE,
    "ports.yaml": PORTS,
}


@dataclass(frozen=True)
class Planted:
    """The files and the agents' calls, as they are after a test's changes."""

    files: Mapping[str, str] = field(default_factory=lambda: dict(FILES))
    calls: Mapping[str, Calls] = field(default_factory=lambda: dict(CALLS))
    runtimes: Mapping[str, Runtime.ValueType] = field(default_factory=dict)
    # Of whoever plans.
    environment: Mapping[str, str] = field(default_factory=dict)

    def changed(self, path: str, before: str, after: str) -> Planted:
        """With one text replaced, once."""
        assert before in self.files[path], "the planted change found nothing to change"
        return replace(self, files={**self.files, path: self.files[path].replace(before, after, 1)})

    def calling(self, service: str, calls: Calls) -> Planted:
        """With other calls of one agent."""
        return replace(self, calls={**self.calls, service: calls})

    def written_in(self, runtime: Runtime.ValueType, *services: str) -> Planted:
        """With agents of another language."""
        return replace(self, runtimes={**self.runtimes, **dict.fromkeys(services, runtime)})

    def plan(self, profile: str = "both") -> pb.Plan:
        """Raises PlanRefused."""
        return plan(self.blueprint, profile)

    def said(self, profile: str = "both") -> list[str]:
        """The mistakes, which there must be."""
        try:
            self.plan(profile)
        except PlanRefused as refused:
            return [str(one) for one in refused.mistakes]
        raise AssertionError("the plan was accepted")

    @property
    def blueprint(self) -> Blueprint:
        """What the planner reads."""
        layout = {path: text for path, text in self.files.items() if path.count("/") > 1}
        stanzas = {FLEET: self.files[FLEET]}
        known = Variables(self.environment, {}, secrets_in(stanzas))
        fleet = Fleet.read(stanzas, Kinds(stanza_pb2.Family, _no_settings), known)
        ports = PortBook.read("ports.yaml", self.files["ports.yaml"], known)
        return Blueprint(fleet, Layout.read(layout, known), ports, self.calls, known, self.runtimes)


def _no_settings(_service: str) -> None:
    return None


def hosts(plan: pb.Plan) -> dict[str, pb.PlannedHost]:
    """All of a plan by name, which is unique in it."""
    return {host.name: host for machine in plan.machines for host in machine.hosts}


Change = Callable[[Planted], Planted]
__all__ = ["REGISTRY", "Change", "Planted", "hosts"]
