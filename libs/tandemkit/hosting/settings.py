"""Settings: one message per agent, parsed strictly, checked by the rules on its fields, and then
only passed along.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf import json_format

from tandem.fleet.v1.state_pb2 import StateStore
from tandemkit.core.secret import NAME
from tandemkit.hosting.entrusted import Needed
from tandemkit.hosting.host import Placed
from tandemkit.rpc import validation

if TYPE_CHECKING:
    from tandemkit.hosting.agent import Agent


class BadSettings(Exception):
    """The settings cannot be used; the message says where and why, for a person."""


def place(
    agents: Sequence[Agent], settings: Mapping[str, object], secrets: Path | None = None
) -> tuple[Placed, ...]:
    """Gives each agent its settings, which stand under its name; an agent that is not named gets
    the defaults. Whoever starts a host without a plan puts into `secrets` what is for its agents.
    """
    names = {agent.name for agent in agents}
    if unknown := sorted(settings.keys() - names):
        raise BadSettings(
            f"settings for {', '.join(unknown)}, but this host serves {', '.join(sorted(names))}"
        )
    needed = Needed(optional=_names_in(secrets))
    parsed = (_parse(agent, settings.get(agent.name, {})) for agent in agents)
    return tuple(replace(one, needed=needed) for one in parsed)


def read(path: Path | None) -> Mapping[str, object]:
    """A JSON object, such as settings by agent name, or nothing where there is no file to read."""
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSettings(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise BadSettings(f"{path} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadSettings(f"{path} holds no JSON object")
    return found


def store(path: Path | None) -> StateStore:
    """The store of state that a file of JSON names; files of the machine where there is none."""
    chosen = StateStore()
    try:
        json_format.ParseDict(dict(read(path)), chosen)
    except json_format.ParseError as error:
        raise BadSettings(f"{path}: {error}") from error
    if broken := validation.violations(chosen):
        raise BadSettings("; ".join(f"{path}: {one.field}: {one.description}" for one in broken))
    return chosen


def _names_in(folder: Path | None) -> tuple[str, ...]:
    if folder is None:
        return ()
    try:
        return tuple(sorted(one.name for one in folder.iterdir() if NAME.fullmatch(one.name)))
    except OSError as error:
        raise BadSettings(f"cannot read {folder}: {error.strerror}") from error


def _parse(agent: Agent, values: object) -> Placed:
    if agent.settings is None:
        if values:
            raise BadSettings(f"{agent.name} has no settings")
        return Placed(agent, None)
    settings = agent.settings()
    if not isinstance(values, dict):
        raise BadSettings(f"{agent.name}: settings are an object of fields")
    try:
        json_format.ParseDict(values, settings)
    except json_format.ParseError as error:
        raise BadSettings(f"{agent.name}: {error}") from error
    if broken := validation.violations(settings):
        raise BadSettings(
            "; ".join(f"{agent.name}.{one.field}: {one.description}" for one in broken)
        )
    return Placed(agent, settings)
