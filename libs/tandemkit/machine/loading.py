"""Agents by the name of their contract, from source: a checkout has no generated mains."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

from tandemkit.core.names import AgentName
from tandemkit.hosting.agent import Agent


def agent_of(service: str) -> Agent:
    """The declaration of the agent that keeps this contract; LookupError where there is none."""
    name = AgentName.of(service)
    try:
        declared: Agent = importlib.import_module(_module_of(name)).AGENT
    except ModuleNotFoundError as error:
        raise LookupError(f"`{service}` has no module {error.name}") from error
    except AttributeError as error:
        raise LookupError(f"{error.name} of `{service}` is not declared") from error
    return declared


def folder_or_file(service: str) -> Path | None:
    """Where the code of the agent stands that keeps this contract; None where there is none."""
    try:
        spec = importlib.util.find_spec(AgentName.of(service).module)
    except ModuleNotFoundError:  # not even its family
        return None
    if spec is None:
        return None
    folders = spec.submodule_search_locations
    return Path(next(iter(folders))) if folders else Path(str(spec.origin))


def _module_of(name: AgentName) -> str:
    """Where the declaration stands: an agent that outgrew its module keeps it in `agent.py`."""
    spec = importlib.util.find_spec(name.module)
    is_folder = spec is not None and spec.submodule_search_locations is not None
    return f"{name.module}.agent" if is_folder else name.module
