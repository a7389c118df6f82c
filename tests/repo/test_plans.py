"""The files of deploy/ make a plan in every profile, and say what the documents ask for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.message import Message

from tandem.fleet.v1 import plan_pb2 as pb
from tandem.fleet.v1 import stanza_pb2
from tandem.fleet.v1.runtime_pb2 import Runtime
from tandemkit.cli import edge, reflection
from tandemkit.cli.plan import screen
from tandemkit.fleet.layout import Layout
from tandemkit.fleet.needs import Calls
from tandemkit.fleet.plan import Blueprint, PlanRefused, plan
from tandemkit.fleet.stanzas import Fleet, Kinds
from tandemkit.written.ports import PortBook
from tests.repo.checkout import root
from tools.rules import agents
from tools.rules.descriptors import Contracts
from tools.rules.tree import Tree

PROFILES = ("laptop", "mainpc", "pc2")
_SNAPSHOTS = Path("tests/repo/plans")
# Few agents that will not change, so that a new one leaves the snapshots alone.
_STANZAS = """\
agents:
  - {name: control-registry, service: tandem.control.v1.RegistryService, pool: infrastructure}
  - {name: control-machine, service: tandem.control.v1.MachineService, pool: infrastructure}
  - {name: platform-notes, service: tandem.platform.v1.NotesService, pool: infrastructure}
  - {name: memory-recall, service: tandem.memory.v1.RecallService}
  - {name: memory-vector-tale, service: tandem.memory.v1.VectorTaleService}
  - {name: language-bard, service: tandem.language.v1.BardService}
  - {name: models-parrot, service: tandem.models.v1.ParrotService}
  - {name: gateway-door, service: tandem.gateway.v1.DoorService}
  - {name: tale-guard, service: tandem.tale.v1.GuardService, pool: critical, memory_mib: 256}
  - {name: tale-tell, service: tandem.tale.v1.TellService, memory_mib: 128}
  - {name: tale-paint, service: tandem.tale.v1.PaintService, gpu_percent: 40, memory_mib: 200}
"""
_CALLS = {
    "tandem.tale.v1.TellService": Calls(
        hard=("tandem.tale.v1.GuardService",), soft=("tandem.tale.v1.PaintService",)
    )
}


def read(paths: str) -> dict[str, str]:
    """Files of the repository by their paths from its root."""
    return {
        str(path.relative_to(root())): path.read_text("utf-8")
        for path in sorted(root().glob(paths))
    }


@pytest.fixture(scope="module")
def layout() -> Layout:
    return Layout.read(read("deploy/fleet/*/*.yaml"))


@pytest.fixture(scope="module")
def ports() -> PortBook:
    ((path, text),) = read("deploy/ports.yaml").items()
    return PortBook.read(path, text)


@pytest.fixture(scope="module")
def fleet() -> Blueprint:
    """The real agents: their stanzas, settings and calls, read from their sources."""
    tree = Tree.read(root())
    contracts = Contracts.of(tree)
    services = {
        name.proto.removesuffix(".proto"): name.service for _, name in agents.contracts(tree)
    }
    declared = {services[one.contract]: one for one in agents.declarations(tree)}

    def settings(service: str) -> Message | None:
        name = declared[service].settings
        return contracts.message_class(name)() if name else None

    calls = {
        service: Calls(
            tuple(services[one] for one in item.calls),
            tuple(services[one] for one in item.soft_calls),
        )
        for service, item in declared.items()
    }
    stanzas = Fleet.read(read("deploy/fleet/*.yaml"), Kinds(stanza_pb2.Family, settings))
    ((path, text),) = read("deploy/ports.yaml").items()
    runtimes = {
        service: Runtime.Value(item.runtime) for service, item in declared.items() if item.runtime
    }
    return Blueprint(
        stanzas,
        Layout.read(read("deploy/fleet/*/*.yaml")),
        PortBook.read(path, text),
        calls,
        runtimes=runtimes,
    )


def planted(layout: Layout, ports: PortBook, profile: str) -> pb.Plan:
    """A plan of the few agents, in the real profile."""
    stanzas = Fleet.read({"planted.yaml": _STANZAS}, Kinds(stanza_pb2.Family, _no_settings))
    return plan(Blueprint(stanzas, layout, ports, _CALLS), profile)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_fleet_can_be_planned(fleet: Blueprint, profile: str) -> None:
    """All files are right together, and whoever lands an agent that does not fit is told here."""
    found = plan(fleet, profile)
    assert [machine.name for machine in found.machines] == [profile]


def test_the_laptop_runs_every_agent(fleet: Blueprint) -> None:
    """Whoever tries the fleet at home leaves nothing out."""
    (laptop,) = plan(fleet, "laptop").machines
    served = {agent.name for host in laptop.hosts for agent in host.agents}
    assert served == {one.fields.name for one in fleet.fleet.stanzas}


@pytest.mark.parametrize("profile", PROFILES)
def test_m035_the_plan_reads_as_it_did(layout: Layout, ports: PortBook, profile: str) -> None:
    """A change of layout, profiles or ports shows in a review as what it does."""
    path = _SNAPSHOTS / f"{profile}.txt"
    found = screen(planted(layout, ports, profile))
    known = (root() / path).read_text("utf-8")
    assert f"{found}\n" == known, f"if this is meant, {path} is to hold:\n{found}"


@pytest.mark.parametrize(
    ("pool", "first", "count"),
    [("pool-python", 10500, 8), ("pool-node", 10508, 4), ("pool-go", 10512, 4)],
)
def test_m015_m016_m017_mainpc_keeps_warm_processes(
    fleet: Blueprint, pool: str, first: int, count: int
) -> None:
    """As many of each language as the documents say, at their ports."""
    (machine,) = plan(fleet, "mainpc").machines
    warm = [host.grpc_port for host in machine.hosts if pool in host.groups]
    assert sorted(warm) == list(range(first, first + count))


def test_m019_the_pools_of_mainpc_sum_to_what_the_documents_say(
    layout: Layout, ports: PortBook
) -> None:
    """12, 8, 6, 2 and 1.38 of 29.38 GB, counted in GiB: 24 slots of 256 fill 6 to the last byte."""
    (machine,) = planted(layout, ports, "mainpc").machines
    sizes = [round(pool.memory_mib / 1024, 2) for pool in machine.pools]
    assert sizes == [12, 8, 6, 2, 1.38]
    assert round(sum(pool.memory_mib for pool in machine.pools) / 1024, 2) == 29.38


@pytest.mark.parametrize("profile", ["laptop", "pc2"])
def test_m019_the_pools_of_smaller_machines_keep_the_proportions(
    layout: Layout, ports: PortBook, profile: str
) -> None:
    """To the MiB that rounding costs."""
    big = planted(layout, ports, "mainpc").machines[0].pools
    small = planted(layout, ports, profile).machines[0].pools
    scale = layout.profiles[profile].fields.memory_scale
    assert [one.memory_mib for one in small] == [int(one.memory_mib * scale) for one in big]


def test_m020_the_ports_of_the_commands_stand_in_the_one_list(ports: PortBook) -> None:
    """A default of the command line that the list does not know would be a second list."""
    assert ports.mistakes == []
    assert reflection.DEFAULT_ADDRESS.endswith(f":{ports.fixed['control']}")
    assert edge.DEFAULT_ADDRESS.endswith(f":{ports.fixed['edge']}")
    spans = {name: (ports.span(name)[0], ports.span(name)[-1]) for name in ports.ranges}
    documents = {"grpc": (8200, 8300), "http": (9100, 9200)}
    pools = {
        "pool-python": (10500, 10507),
        "pool-node": (10508, 10511),
        "pool-go": (10512, 10515),
    }
    assert spans == {**documents, **pools, "registry": (8500, 8599)}
    assert (ports.fixed["gateway"], ports.fixed["web-ui"]) == (10010, 10011)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("port: 8290", "port: 8200", "8200 is the port of `control` already: take another"),
        ("port: 8290", "port: 9300", "9300 is not in `grpc`, 8200-8300"),
        ("first: 9100", "first: 8250", "8250-8300 belongs to `grpc` already"),
    ],
)
def test_m020_a_duplicate_or_out_of_range_port_fails_the_checks(
    fleet: Blueprint, before: str, after: str, said: str
) -> None:
    """The real list with one mistake: no profile can be planned, so neither this suite passes nor
    anything starts, and the mistake is told with its line.
    """
    ((path, text),) = read("deploy/ports.yaml").items()
    assert before in text
    wrong = PortBook.read(path, text.replace(before, after, 1))
    for profile in PROFILES:
        with pytest.raises(PlanRefused) as refused:
            plan(replace(fleet, ports=wrong), profile)
        assert any(
            str(one).startswith(f"{path}:{one.line}:") and said in str(one)
            for one in refused.value.mistakes
        )


def _no_settings(_service: str) -> None:
    return None
