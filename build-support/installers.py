"""Ways to install the pins: uv where it can be had, else pip. Both demand every hash."""

import asyncio
import importlib.util
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from launch import Places
from tandemkit.cli.steps import Step, StepFailure, Steps
from tandemkit.cli.uv import uv_variables

_ONLY_PINS = ("--require-hashes", "--no-deps")
# Short, so that a machine without a network hears of it in seconds.
_PIP = ("--disable-pip-version-check", "--no-input", "--retries", "2", "--timeout", "15")
_PIN = re.compile(r"^[A-Za-z0-9][^ ]*==", re.MULTILINE)
_UV_PIN = re.compile(r"^uv==(?P<version>\S+).*\n(?:    --hash=.*\n)+", re.MULTILINE)


class Installer(Protocol):
    """Installs a file of pins into the environment; StepFailure where it cannot."""

    async def install(self, wanted: Path, steps: Steps) -> None: ...


@dataclass(frozen=True, slots=True)
class Pip:
    """The slow way, which needs no more than the Python itself: about half a minute."""

    places: Places
    variables: Mapping[str, str]

    async def install(self, wanted: Path, steps: Steps) -> None:
        pip = await asyncio.to_thread(pip_command)
        into = ("--python", str(self.places.python))
        argv = (*pip, *_PIP, *into, "install", *_ONLY_PINS, "-r", str(wanted))
        step = f"installing {_count(wanted)} packages with pip"
        await steps.run(Step(step, argv, _pip_variables(self.variables)))


@dataclass(frozen=True, slots=True)
class Uv:
    """The fast way: a few seconds. Takes uv from PATH, or fetches the one that is pinned."""

    places: Places
    variables: Mapping[str, str]
    pins: str

    async def install(self, wanted: Path, steps: Steps) -> None:
        uv = shutil.which("uv", path=self.variables.get("PATH")) or await self._fetched(steps)
        into = ("--no-progress", "--python", str(self.places.python))
        argv = (uv, "pip", "install", *into, *_ONLY_PINS, "-r", str(wanted))
        step = f"installing {_count(wanted)} packages with uv"
        await steps.run(Step(step, argv, uv_variables(self.variables)))

    async def _fetched(self, steps: Steps) -> str:
        pin = _UV_PIN.search(self.pins)
        if pin is None:
            raise StepFailure("fetching uv", "pins.txt does not pin uv")
        home = self.places.cache / "uv" / pin["version"]
        if not home.exists():
            home.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=home.parent, prefix="new-") as folder:
                await self._fetch(Path(folder), pin[0], steps)
                _move_into_place(Path(folder, "uv"), home)
        return str(home / "bin" / "uv")

    async def _fetch(self, folder: Path, pin: str, steps: Steps) -> None:
        wanted = folder / "uv.txt"
        wanted.write_text(pin)
        pip = await asyncio.to_thread(pip_command)
        into = ("--target", str(folder / "uv"))
        argv = (*pip, *_PIP, "install", *into, *_ONLY_PINS, "-r", str(wanted))
        variables = _pip_variables(self.variables)
        await steps.run(Step("fetching uv, a fast installer", argv, variables))


def pip_command() -> tuple[str, ...]:
    """The pip of this Python, or the one that came with it for new environments."""
    bundled = importlib.util.find_spec("ensurepip")
    beside = Path(bundled.origin).parent / "_bundled" if bundled and bundled.origin else Path("/")
    # Debian keeps it elsewhere, and installs it with python3-venv.
    debian = Path(sysconfig.get_config_var("WHEEL_PKG_DIR") or beside)
    wheels = sorted({*beside.glob("pip-*.whl"), *debian.glob("pip-*.whl")})
    carried = [(sys.executable, "-I", f"{wheel}/pip") for wheel in wheels]
    for command in ((sys.executable, "-I", "-m", "pip"), *carried):
        if (
            subprocess.run((*command, "--version"), capture_output=True, check=False).returncode
            == 0
        ):
            return command
    advice = f"{sys.executable} has no pip; install it (apt-get install python3-venv python3-pip)"
    raise StepFailure("looking for pip", advice)


def _move_into_place(made: Path, home: Path) -> None:
    try:
        made.rename(home)
    except OSError:
        # Another first run was quicker: what it put there is the same.
        if not home.exists():
            raise


def _count(wanted: Path) -> int:
    return len(_PIN.findall(wanted.read_text()))


def _pip_variables(variables: Mapping[str, str]) -> dict[str, str]:
    return {**variables, "PIP_REQUIRE_VIRTUALENV": "0", "PIP_USER": "0"}
