"""What a plan says of a fleet without mistakes."""

from __future__ import annotations

import pytest

from tandem.fleet.v1 import resources_pb2 as kinds
from tandem.fleet.v1.runtime_pb2 import RUNTIME_NODE, RUNTIME_UNSPECIFIED
from tandemkit.core.names import INFERENCE
from tandemkit.fleet.needs import Calls
from tandemkit.fleet.plan import NoSuchProfile
from tests.unit.tandemkit.fleet import planted
from tests.unit.tandemkit.fleet.planted import (
    DRAW,
    FLEET,
    GUARD,
    LAYOUT,
    SEE,
    SUM,
    TELL,
    Planted,
    hosts,
)

_GROUPS = f"{LAYOUT}/groups.yaml"
_LIMITED = f"service: {planted.REGISTRY}\n    cpus_max: 0.5\n    memory_mib_max: 100"


def test_replicas_go_to_different_machines() -> None:
    """A machine that dies takes one of them."""
    found = Planted().plan()
    at = {host.name: machine.name for machine in found.machines for host in machine.hosts}
    assert at == {"control": "big", "look": "big", "text": "big", "text-2": "small"}
    assert [one.name for one in hosts(found)["text-2"].agents] == ["text-sum"]


def test_groups_share_a_host_as_the_profile_says() -> None:
    """A replica serves those groups alone that have an agent for it, and pays for them alone."""
    text = "host: all\n  - group: look\n    host: all\n    replicas: 2\n    machines: [small]"
    shared = (
        Planted()
        .changed("fleet/profiles/alone.yaml", "replicas_max: 1\n", "")
        .changed("fleet/profiles/alone.yaml", "group: control\n    host: all", "group: control")
        .changed("fleet/profiles/alone.yaml", "host: all", text)
    )
    found = hosts(shared.plan("alone"))
    assert tuple(found["all"].groups) == ("look", "text")
    assert tuple(found["all-2"].groups) == ("text",)
    assert found["all-2"].memory_mib == 64 + 40


def test_a_host_has_its_own_memory_and_that_of_its_agents() -> None:
    """By pool, so that the sums of a machine's pools are those of its hosts."""
    found = Planted().plan()
    assert hosts(found)["text"].memory_mib == 64 + 100 + 40 + 50
    planned = {kinds.MemoryPool.Name(one.pool): one.planned_mib for one in found.machines[0].pools}
    assert planned == {
        "MEMORY_POOL_INFRASTRUCTURE": 64 + 8,
        "MEMORY_POOL_CRITICAL": 64 + 100,
        "MEMORY_POOL_STANDARD": 40 + 50 + 64 + 8 + 8,
        "MEMORY_POOL_EMERGENCY_RESERVE": 0,
    }


def test_ports_pass_over_what_is_fixed_or_reserved() -> None:
    """Control is where clients look for it; nobody gets a port that has another meaning."""
    on_big = Planted().plan().machines[0].hosts
    assert [(one.name, one.grpc_port, one.http_port) for one in on_big] == [
        ("control", 8200, 9101),
        ("look", 8201, 9102),
        ("text", 8202, 9103),
    ]


def test_who_is_looked_for_at_one_port_has_that() -> None:
    """Clients of another protocol know an address, wherever in the plan its server is."""
    planted = (
        Planted()
        .changed("ports.yaml", "fixed:", "fixed:\n  - name: kserve\n    port: 8001")
        .changed(FLEET, "name: text-guard", "name: gateway-kserve")
        .changed(FLEET, GUARD, INFERENCE)
        .changed(_GROUPS, "[text-*]", "[gateway-*, text-*]")
    )
    found = hosts(planted.plan())
    assert (found["control"].grpc_port, found["text"].grpc_port) == (8200, 8001)
    assert found["look"].grpc_port == 8201


def test_a_group_says_its_runtime_and_where_its_ports_are_from() -> None:
    """A plan names the program and the range of each host, which has the ports of that alone."""
    range_of_looks = "  - name: looks\n    first: 10500\n    last: 10507\nfixed:"
    found = (
        Planted()
        .changed(_GROUPS, "gpu_percent: 80", "runtime: node\n    port_range: looks")
        .changed("ports.yaml", "fixed:", range_of_looks)
        .written_in(RUNTIME_NODE, SEE, DRAW)
    )
    look, text = (hosts(found.plan())[name] for name in ("look", "text"))
    assert (look.runtime, look.grpc_port) == (RUNTIME_NODE, 10500)
    assert (text.runtime, text.grpc_port) == (RUNTIME_UNSPECIFIED, 8201)


def test_an_agent_is_in_a_group_of_its_language() -> None:
    """In both directions, and the mistake says what to write."""
    (said,) = Planted().written_in(RUNTIME_NODE, SUM).said()
    assert said.startswith(f"{FLEET}:10:14: ")
    assert "`text-sum` is written in node, and its group `text` runs python" in said
    assert "a group with `runtime: node`" in said


def test_a_group_without_agents_has_processes_that_wait_for_them() -> None:
    """They have the memory that the group says, and start behind the registry."""
    warm = "groups:\n  - name: warm\n    agents: []\n    replicas: 2\n    memory_mib: 100"
    found = hosts(
        Planted()
        .changed(_GROUPS, "groups:", warm)
        .changed("fleet/profiles/both.yaml", "groups:", "groups:\n  - group: warm")
        .plan()
    )
    assert [(found[name].memory_mib, found[name].layer) for name in ("warm", "warm-2")] == [
        (100, 1),
        (100, 1),
    ]
    assert not found["warm"].agents


def test_groups_of_two_runtimes_share_no_process() -> None:
    """A process has one program."""
    shared = (
        Planted()
        .changed(_GROUPS, "gpu_percent: 80", "runtime: node")
        .changed("fleet/profiles/both.yaml", "group: look", "group: look\n    host: text")
    )
    assert any("are of different runtimes" in said for said in shared.said())


def test_cores_are_the_agents_own_or_its_pools() -> None:
    """A set of the pool that the machine does not have is no set; a host runs where they all do."""
    text = hosts(Planted().plan())["text"]
    assert {one.name: tuple(one.cpu_cores) for one in text.agents} == {
        "text-guard": (1, 3),
        "text-sum": (),
        "text-tell": (0, 1),
    }
    assert tuple(text.cpu_cores) == ()
    guard = hosts(Planted().plan("alone"))["all"].agents[1]
    assert (guard.name, tuple(guard.cpu_cores)) == ("text-guard", ())


def test_m021_layers_come_from_calls_and_everybody_is_behind_the_registry() -> None:
    """A host starts with its first agent; the others of it serve when they can."""
    layers = Planted().plan().layers
    assert [tuple(layer.hosts) for layer in layers] == [
        ("control",),
        ("look", "text", "text-2"),
        (),
    ]
    assert tuple(layers[2].agents) == ("text-tell",)


def test_soft_calls_do_not_order() -> None:
    """They may even form a cycle; one that nobody answers is remarked upon."""
    soft = Planted().calling(SUM, Calls(soft=(TELL, "tandem.text.v1.NobodyService")))
    found = soft.plan()
    assert len(found.layers) == 3
    said = "text-sum calls tandem.text.v1.NobodyService, which nobody serves: it can do without"
    assert tuple(found.remarks) == (said,)


def test_the_default_instance_is_the_one_that_is_waited_for() -> None:
    """Calls without the instance header go there."""
    second = planted.STANZAS + f"  - name: text-sum-nightly\n    service: {SUM}\n"
    tell = hosts(Planted().changed(FLEET, planted.STANZAS, second).plan())["text"].agents[3]
    assert (tell.name, tuple(tell.waits_for)) == ("text-tell", ("text-sum", "control-registry"))


def test_without_a_gpu_an_agent_runs_on_the_cpu_and_the_plan_says_so() -> None:
    """Its absence is reported, never hidden."""
    bare = Planted().changed(_GROUPS, "machines: [big, small]", "machines: [small]").plan()
    assert hosts(bare)["look"].gpu == ""
    assert tuple(bare.remarks) == (
        "look-draw runs on the CPU, for small has no GPU",
        "look-see runs on the CPU, for small has no GPU",
    )


def test_what_an_urgent_agent_needs_is_as_urgent() -> None:
    """Suspending the callee would stop the caller."""
    needed = Planted().calling(GUARD, Calls(hard=(TELL,)))
    found = {one.name: one.priority for one in hosts(needed.plan())["text"].agents}
    assert set(found.values()) == {kinds.PRIORITY_CRITICAL}


def test_a_profile_beside_provides() -> None:
    """What another machine's profile serves is no missing provider, and nobody waits in layers."""
    apart = Planted().changed(
        "fleet/profiles/alone.yaml", "  - group: control\n    host: all\n", ""
    )
    assert any("no host could register" in one for one in apart.said("alone"))
    beside = apart.changed("fleet/profiles/alone.yaml", "groups:", "beside: [both]\ngroups:")
    assert len(beside.plan("alone").layers) == 2


def test_the_same_files_give_the_same_bytes() -> None:
    """In whatever order they are read."""
    other = Planted(dict(reversed(planted.FILES.items())), dict(reversed(planted.CALLS.items())))
    first, second = (one.plan().SerializeToString(deterministic=True) for one in (Planted(), other))
    assert first == second


def test_m035_an_unknown_profile_is_told_with_what_is_near() -> None:
    """A person types it."""
    with pytest.raises(NoSuchProfile, match="there is no profile `bth`; did you mean `both`"):
        Planted().plan("bth")


def test_an_agent_with_limits_has_a_process_of_its_own() -> None:
    """What one process cannot keep two agents to; the others stay where they were."""
    limited = Planted().changed(FLEET, "cpu_set: 0-1", "cpus_max: 1.5\n    memory_mib_max: 200")
    found = hosts(limited.plan())
    assert [one.name for one in found["text"].agents] == ["text-guard", "text-sum"]
    own = found["text-text-tell"]
    assert [one.name for one in own.agents] == ["text-tell"]
    assert (own.cpus_max, own.memory_mib_max, own.memory_mib) == (1.5, 200, 64 + 50)
    assert (found["text"].cpus_max, found["text"].memory_mib_max) == (0, 0)
    assert own.grpc_port not in {0, found["text"].grpc_port}
    assert "text-text-tell" in limited.plan().layers[own.layer].hosts


def test_each_replica_of_a_limited_agent_has_its_own_process() -> None:
    """On another machine, as every replica."""
    limited = Planted().changed(FLEET, "replicas: 2", "replicas: 2\n    memory_mib_max: 200")
    found = limited.plan()
    at = {host.name: machine.name for machine in found.machines for host in machine.hosts}
    assert at == {
        "control": "big",
        "look": "big",
        "text": "big",
        "text-text-sum": "big",
        "text-2": "small",
    }


def test_an_agent_with_limits_that_is_alone_keeps_its_host() -> None:
    """There is nobody to be kept apart from."""
    alone = Planted().changed(FLEET, "service: tandem.control.v1.RegistryService", _LIMITED)
    found = hosts(alone.plan())
    assert (found["control"].cpus_max, found["control"].memory_mib_max) == (0.5, 100)


def test_a_share_of_a_groups_gpu_goes_along() -> None:
    """What is given away in all stays what it was."""
    limited = Planted().changed(FLEET, "gpu_percent: 30", "gpu_percent: 30\n    cpus_max: 1")
    found = hosts(limited.plan())
    assert (found["look"].gpu_percent, found["look-look-draw"].gpu_percent) == (50, 30)


def test_the_time_that_an_agent_may_hold_its_loop_is_handed_on() -> None:
    """The machine's supervisor judges by it."""
    patient = Planted().changed(FLEET, "cpu_set: 0-1", "stall_max: 90s")
    tell, other = (hosts(patient.plan())["text"].agents[number] for number in (2, 1))
    assert tell.stall_max.ToSeconds() == 90
    assert not other.HasField("stall_max")
