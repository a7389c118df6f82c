"""Which code and which contracts make the states of a home, and where that differs from those that
made a checkpoint.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError

from tandem.control.v1 import checkpoint_pb2 as pb
from tandem.control.v1 import machine_pb2 as nouns
from tandem.fleet.v1.plan_pb2 import Plan, PlannedAgent
from tandemkit.core.environment import Environment
from tandemkit.machine.code import Code
from tandemkit.machine.home import Home, write_at_once

_DIGITS = 16
_DEPLOYED = "build.binpb"
# What decides whether states can be read, in words.
_SAID = {
    "kit": "the kit",
    "code": "the code of its agents",
    "contracts": "the contracts",
    "pins": "the third-party packages",
}


def deployed(home: Home) -> pb.CheckpointBuild | None:
    """What was started here last, whatever the files of the checkout have become since. None where
    nobody said.
    """
    try:
        return pb.CheckpointBuild.FromString((home.folder / _DEPLOYED).read_bytes())
    except (FileNotFoundError, DecodeError):
        return None


def say_deployed(home: Home, build: pb.CheckpointBuild) -> None:
    """It outlives the fleet, for its state does."""
    write_at_once(home.folder / _DEPLOYED, build.SerializeToString(deterministic=True))


def build_of(environment: Environment, wanted: nouns.WantedMachine | None) -> pb.CheckpointBuild:
    """Of this checkout, and of what is wanted here."""
    code = Code(environment.root, environment.stubs)
    found = pb.CheckpointBuild(kit=code.version, sqlite=sqlite3.sqlite_version)
    found.contracts = environment.stubs.name if environment.stubs else ""
    pins = environment.root / "pins.txt" if environment.root else Path()
    if pins.is_file():
        found.pins = _digest(pins.read_bytes())
    if wanted is not None:
        found.code = code.of({agent.service for agent in _agents(wanted.plan)})
        found.plan = _digest(_without_ports(wanted.plan).SerializeToString(deterministic=True))
        settings = (
            one.settings.SerializeToString(deterministic=True) for one in _agents(wanted.plan)
        )
        found.settings = _digest(*settings)
    return found


def release_of(build: pb.CheckpointBuild) -> tuple[int, ...]:
    """Its numbers; none where it has no release."""
    numbers = build.kit.partition("+")[0].split(".")
    return tuple(int(one) for one in numbers if one.isdecimal())


def differences(checkpoint: pb.CheckpointBuild, here: pb.CheckpointBuild) -> list[str]:
    """What made the checkpoint and is another here, in words; what either does not know is not
    compared.
    """
    return [
        f"{said} ({before}, and here {now})"
        for name, said in _SAID.items()
        if (before := getattr(checkpoint, name)) and (now := getattr(here, name)) and before != now
    ]


def _agents(plan: Plan) -> Iterator[PlannedAgent]:
    for machine in plan.machines:
        for host in machine.hosts:
            yield from host.agents


def _without_ports(plan: Plan) -> Plan:
    found = Plan()
    found.CopyFrom(plan)
    for machine in found.machines:
        for host in machine.hosts:
            host.grpc_port = host.http_port = 0
    return found


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()[:_DIGITS]
