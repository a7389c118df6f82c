"""A checkout with a small fleet: what `./tandem` finds below deploy/, and nothing of ours."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from tandemkit.hosting.agent import Agent

_PROJECT = '[project]\nname = "tandem"\nversion = "0.0.1"\n'
# Not those of the real list: a fleet may run beside the tests.
GRPC, HTTP, REGISTRY = (18200, 18299), (19100, 19199), (18500, 18599)


def write_checkout(
    folder: Path, agents: Iterable[Agent], settings: Mapping[str, object] | None = None
) -> None:
    """One profile, `laptop`, of one machine: control, its supervisor, and a host for the others.
    `settings` are by the name of the agent.
    """
    said = settings or {}
    stanzas = [
        {"name": one.name, "service": one.promise.service.full_name}
        | ({"settings": said[one.name]} if one.name in said else {})
        for one in agents
    ]
    families: dict[str, list[dict[str, object]]] = {}
    for stanza in stanzas:
        families.setdefault(str(stanza["name"]).partition("-")[0], []).append(stanza)
    files: dict[str, object] = {
        f"fleet/{family}.yaml": {"agents": listed} for family, listed in families.items()
    }
    write_deploy(folder, files)


def write_deploy(folder: Path, families: Mapping[str, object]) -> None:
    """The rest of deploy/ around the stanzas' files, which are given by path."""
    groups = [
        {"name": "control", "agents": ["control-*"]},
        {"name": "machine", "agents": ["control-machine"]},
        {"name": "agents", "agents": ["*"]},
    ]
    machine = {"name": "laptop", "address": "localhost", "cpu_cores": 2, "memory_mib": 8192}
    pools = [{"pool": one, "memory_mib": 2000} for one in ("infrastructure", "standard")]
    profile = {"name": "laptop", "machines": ["laptop"], "replicas_max": 1}
    placed = [{"group": one["name"]} for one in groups]
    files = {
        "fleet/layout/groups.yaml": {"groups": groups},
        "fleet/layout/machines.yaml": {"machines": [machine]},
        "fleet/layout/pools.yaml": {"pools": pools},
        "fleet/profiles/laptop.yaml": {**profile, "groups": placed},
        "ports.yaml": {
            "ranges": [
                {"name": "grpc", "first": GRPC[0], "last": GRPC[1]},
                {"name": "http", "first": HTTP[0], "last": HTTP[1]},
                {"name": "registry", "first": REGISTRY[0], "last": REGISTRY[1]},
            ],
            "fixed": [{"name": "control", "port": GRPC[0], "range": "grpc"}],
        },
        **families,
    }
    for path, value in files.items():
        place = folder / "deploy" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        # JSON is YAML too.
        place.write_text(json.dumps(value))
    (folder / "pyproject.toml").write_text(_PROJECT)
