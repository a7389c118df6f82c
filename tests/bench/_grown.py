"""A tree with as many new agents as one asks for, each with a contract of its own, made as people
make them: by tools/new_agent.py.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tandemkit.core.names import AgentName
from tools import stubs
from tools.new_agent import NewAgent, make

FAMILY_AGENTS = 10


@dataclass(frozen=True, slots=True)
class Grown:
    """What the agents are called, and where Python finds them."""

    root: Path
    agents: Sequence[AgentName]

    @property
    def python_path(self) -> str:
        """Theirs before ours: packages are namespaces, so both are found."""
        return os.pathsep.join((str(self.root / "stubs"), str(self.root), *filter(None, sys.path)))


def grown(root: Path, count: int) -> Grown:
    """Contracts, modules, stanzas and stubs of `count` agents, below `root`."""
    shutil.copytree(stubs.ROOT, root / "protos")
    made = [NewAgent.asked(_which(number), purpose="Says a text again") for number in range(count)]
    for new in made:
        make(new, root, write_all=True)
    stubs.generate(root / "stubs", root / "protos")
    return Grown(root, [new.name for new in made])


def _which(number: int) -> str:
    family, agent = divmod(number, FAMILY_AGENTS)
    return f"family{_letters(family)}/say_{_letters(agent)}"


def _letters(number: int) -> str:
    """Digits would be words of their own in some of an agent's names."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))
