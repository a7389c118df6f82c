"""Makes the environment and the stubs that `./tandem` runs in. Locked, hash-checked, resumable.

Killed at any moment it leaves a folder without its mark, which the next run makes afresh.
"""

import asyncio
import contextlib
import functools
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from diagnosis import is_final, sentence_for
from installers import Installer, Pip, Uv
from launch import READY, Places, installed_pins
from leftovers import sweep
from tandemkit.cli.locks import alone
from tandemkit.cli.steps import Step, StepFailure, Steps
from tandemkit.core.clock import SystemClock
from tandemkit.core.environment import Environment

_INTERRUPTED = 130


def prepare(root: Path, places: Places, environment: Environment) -> int:
    """Makes what is missing and returns 0, or says in one sentence what to do and returns 2."""
    steps = Steps(sys.stderr, places.cache)
    try:
        places.cache.mkdir(parents=True, exist_ok=True)
        sweep(places.cache, SystemClock().now())
        asyncio.run(_prepare(root, places, environment, steps))
    except KeyboardInterrupt:
        steps.say("interrupted; run the same command again to go on.")
        return _INTERRUPTED
    except (StepFailure, OSError) as failure:
        steps.say(sentence_for(failure, places.cache))
        return 2
    return 0


async def _prepare(root: Path, places: Places, environment: Environment, steps: Steps) -> None:
    waiting = functools.partial(steps.say, "another ./tandem is setting up; waiting for it")
    async with alone(places.environment.with_suffix(".lock"), waiting) as lock:
        if not places.environment_ready():
            steps.say("first start: making the environment, once; this takes under a minute")
            await _make_environment(root, places, environment, steps.holding(lock))
    async with alone(places.stubs.with_suffix(".lock"), waiting) as lock:
        if not places.stubs_ready():
            await _make_stubs(root, places, steps.holding(lock))


async def _make_environment(
    root: Path, places: Places, environment: Environment, steps: Steps
) -> None:
    folder = places.environment
    if folder.exists():
        shutil.rmtree(folder)
    await steps.run(Step("making a virtual environment", _venv(folder)))
    pins = (root / "pins.txt").read_text()
    wanted = folder / "pins.txt"
    wanted.write_text(installed_pins(pins))
    variables = environment.variables
    await _install((Uv(places, variables, pins), Pip(places, variables)), wanted, steps)
    (folder / READY).touch()


def _venv(folder: Path) -> tuple[str, ...]:
    # Without pip: Debian's Python has no ensurepip unless python3-venv is installed.
    return (sys.executable, "-I", "-m", "venv", "--without-pip", str(folder))


async def _install(choices: tuple[Installer, ...], wanted: Path, steps: Steps) -> None:
    for choice in choices[:-1]:
        try:
            await choice.install(wanted, steps)
        except StepFailure as failure:
            if is_final(failure):
                raise
            steps.say(f"{failure.step} failed ({failure.reason}); trying another way")
        else:
            return
    await choices[-1].install(wanted, steps)


async def _make_stubs(root: Path, places: Places, steps: Steps) -> None:
    with _swept(Path(tempfile.mkdtemp(dir=places.stubs.parent, prefix="new-"))) as fresh:
        generate = (str(places.python), "-I", str(root / "tools" / "stubs.py"), "--out", str(fresh))
        await steps.run(Step("generating the stubs from protos/", generate))
        (fresh / READY).touch()
        fresh.rename(places.stubs)


@contextlib.contextmanager
def _swept(folder: Path) -> Iterator[Path]:
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
