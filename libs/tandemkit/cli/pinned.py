"""What a command needs beyond the environment: installed once, as the pins say."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tandemkit.cli.checkout import cache_of, root_of
from tandemkit.cli.locks import alone
from tandemkit.cli.output import Refusal
from tandemkit.cli.steps import Step, Steps
from tandemkit.cli.uv import uv_variables
from tandemkit.core.environment import Environment

_READY = "ready"


async def environment_of(pins: Path, environment: Environment, steps: Steps) -> Path:
    """The interpreter of an environment that holds all of `pins`, made if it is not there."""
    key = hashlib.sha256(pins.read_bytes()).hexdigest()[:16]
    home = cache_of(environment) / "environments" / f"{pins.stem}-{key}"
    waiting = functools.partial(steps.say, "another run makes it; waiting for it")
    async with alone(home.with_suffix(".lock"), waiting) as lock:
        if not (home / _READY).exists():
            await _make(home, pins, environment, steps.holding(lock))
    # What is unused for long, a later set-up removes.
    os.utime(home / _READY)
    return home / "bin" / "python"


async def checks(environment: Environment, steps: Steps) -> Path:
    """The interpreter with all of pins.txt: what checks and tests, buf and uv among it."""
    return await environment_of(root_of(environment) / "pins.txt", environment, steps)


async def _make(home: Path, pins: Path, environment: Environment, steps: Steps) -> None:
    shutil.rmtree(home, ignore_errors=True)
    venv = (sys.executable, "-I", "-m", "venv", "--without-pip", str(home))
    await steps.run(Step("making a virtual environment", venv))
    into = ("--no-progress", "--python", str(home / "bin" / "python"))
    exact = ("--require-hashes", "--no-deps", "-r", str(pins))
    argv = (str(find_uv(environment)), "pip", "install", *into, *exact)
    await steps.run(
        Step(f"installing all of {pins.name}", argv, uv_variables(environment.variables))
    )
    (home / _READY).touch()


def find_uv(environment: Environment) -> Path:
    """The uv on PATH, or the one that made this environment."""
    on_path = shutil.which("uv", path=environment.path)
    fetched = sorted((environment.cache / "uv").glob("[0-9]*/bin/uv"))
    if on_path:
        return Path(on_path)
    if not fetched:
        raise Refusal("needs uv, which could not be fetched at set-up; install uv.")
    return fetched[-1]


@contextlib.contextmanager
def fresh_folder(home: Path) -> Iterator[Path]:
    """A folder that becomes `home`, whole, when the block ends well."""
    home.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=home.parent, prefix="new-"))
    try:
        yield folder
        folder.chmod(0o755)
        folder.rename(home)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
