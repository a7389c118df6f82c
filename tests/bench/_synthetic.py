"""A fleet that exists in a catalogue alone: hosts in groups of ten, ten agents in each group."""

from __future__ import annotations

from google.protobuf.descriptor_pb2 import FileDescriptorProto, MethodOptions

from tandem.options.v1 import options_pb2 as options
from tandemkit.mesh.catalogue import Catalogue, Host, Placement
from tandemkit.rpc.contract import Contract
from tests.cluster.mesh.trial_contract import PACKAGE

GROUP_HOSTS, GROUP_AGENTS = 10, 10
MESSAGES = "tandem/trial/v1/trial.proto"
MACHINES = ("mainpc", "pc2")


def synthetic(hosts_count: int) -> Catalogue:
    """That many hosts, spread over both machines, each serving the ten agents of its group."""
    groups_count = hosts_count // GROUP_HOSTS
    groups = [
        [contract(f"Group{group}Agent{agent}") for agent in range(GROUP_AGENTS)]
        for group in range(groups_count)
    ]
    hosts = tuple(
        Host(
            name=f"host-{number}",
            group=f"group-{number % groups_count}",
            machine=MACHINES[number // groups_count % len(MACHINES)],
            # Nobody listens there, and clients hear that at once.
            address=f"127.1.{number // 256}.{number % 256}",
            port=9,
            placements=tuple(
                Placement(one.service.full_name) for one in groups[number % groups_count]
            ),
        )
        for number in range(hosts_count)
    )
    return Catalogue(hosts, tuple(one for group in groups for one in group))


def contract(agent: str) -> Contract:
    """An agent with two methods that may be called twice and one that may not."""
    name = f"tandem/synthetic/v1/{agent.lower()}_service.proto"
    file = FileDescriptorProto(name=name, package="tandem.synthetic.v1", syntax="proto3")
    file.dependency.append(MESSAGES)
    service = file.service.add(name=f"{agent}Service")
    for rpc in ("Ask", "Look", "Add"):
        method = service.method.add(name=rpc, input_type=f".{PACKAGE}.Question")
        method.output_type = f".{PACKAGE}.Answer"
        if rpc != "Add":
            method.options.idempotency_level = MethodOptions.NO_SIDE_EFFECTS
    # The same file a second time changes nothing.
    options.DESCRIPTOR.pool.AddSerializedFile(file.SerializeToString())
    return Contract.of(options.DESCRIPTOR.pool.FindFileByName(name))
