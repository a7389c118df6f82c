"""Where the registry of a fleet keeps what it knows, read from and written into its plan."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.any_pb2 import Any

from tandem.control.config.v1.registry_pb2 import RegistrySettings
from tandem.control.v1 import machine_pb2 as nouns
from tandem.fleet.v1.plan_pb2 import Plan
from tandemkit.fleet.needs import REGISTRY


def registry_of(wanted: nouns.WantedMachine) -> str:
    """For people: `embedded`, or the kind of server and where it is."""
    for said in settings_of(wanted.plan):
        if said.HasField("consul"):
            return f"consul at {said.consul.address or 'http://127.0.0.1:8500'}"
        if said.HasField("redis"):
            return f"redis at {said.redis.address or '127.0.0.1:6379'}"
    return "embedded"


def stand_on(plan: Plan, settings: RegistrySettings) -> None:
    """Has every control of the plan keep what it knows there."""
    for found in _settings(plan):
        found.Pack(settings)


def settings_of(plan: Plan) -> Iterator[RegistrySettings]:
    """Of each control."""
    for found in _settings(plan):
        said = RegistrySettings()
        found.Unpack(said)
        yield said


def _settings(plan: Plan) -> Iterator[Any]:
    for machine in plan.machines:
        for host in machine.hosts:
            for agent in host.agents:
                if agent.service == REGISTRY:
                    yield agent.settings
