"""Programs that a package carries and that few need: fetched when somebody asks for one."""

from __future__ import annotations

import re
from pathlib import Path

from tandemkit.cli.checkout import cache_of, root_of
from tandemkit.cli.output import EXIT_NO, Refusal
from tandemkit.cli.parts import BY_NAME, find
from tandemkit.cli.pinned import environment_of
from tandemkit.cli.steps import Steps
from tandemkit.core.environment import Environment


async def obtain(name: str, environment: Environment, steps: Steps) -> Path:
    """The one program of the part: of this environment, fetched before, or fetched now as pins.txt
    says.
    """
    part = BY_NAME[name]
    (program,) = part.programs
    if found := find(part, environment):
        return found[program]
    python = await environment_of(pins_of(name, environment), environment, steps)
    # What lies inside the package is the program; a script outside of it may be a wrapper.
    inside = python.parent.parent.glob(f"lib/python*/site-packages/**/{program}")
    path = next((one for one in sorted(inside) if one.is_file()), None)
    if path is None:
        message = f"the package {part.provider} does not carry {program} for this machine."
        raise Refusal(message, EXIT_NO)
    return path


def pins_of(name: str, environment: Environment) -> Path:
    """A file with the one pin, named after it, for it is what the environment is made from."""
    provider = BY_NAME[name].provider
    pin = re.search(
        rf"^{re.escape(provider)}==\S+.*\n(?:    --hash=.*\n)+",
        (root_of(environment) / "pins.txt").read_text(),
        re.MULTILINE,
    )
    if pin is None:
        raise Refusal(f"pins.txt does not pin {provider}; run ./tandem pin.")
    path = cache_of(environment) / f"pins-{name}.txt"
    fresh = path.with_suffix(".new")
    fresh.write_text(pin[0])
    return fresh.replace(path)
