"""The official clients of OpenAI's API, each run as a program of its own against a gateway."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tandemkit.cli.locks import alone
from tandemkit.cli.pinned import fresh_folder
from tandemkit.cli.steps import Step, StepFailure, Steps
from tandemkit.core.environment import Environment
from tandemkit.testing.parts import demand
from tests.unit.services.gateway.http.gateways import Gateway

HERE = Path(__file__).resolve().parent
_TIMEOUT_S = 60


async def python() -> tuple[str, ...]:
    """How one starts a program for Python that has the client."""
    return (str(demand("openai")["python"]), "-I")


async def node() -> tuple[Path, tuple[str, ...]]:
    """A folder with the client for Node, and how one starts a program there. It is fetched once, as
    its lock file says.
    """
    programs = demand("node")
    cache = Environment.read().cache / "interop"
    cache.mkdir(parents=True, exist_ok=True)
    lock = (HERE / "node" / "package-lock.json").read_bytes()
    home = cache / f"openai-{hashlib.sha256(lock).hexdigest()[:16]}"
    steps = Steps(sys.stderr, cache)
    waiting = functools.partial(steps.say, "another run fetches it; waiting for it")
    async with alone(cache / "openai.lock", waiting):
        if not home.exists():
            with fresh_folder(home) as folder:
                for name in ("package.json", "package-lock.json"):
                    shutil.copy2(HERE / "node" / name, folder)
                quiet = ("--no-audit", "--no-fund", "--ignore-scripts")
                argv = (str(programs["npm"]), "ci", *quiet)
                step = Step("npm ci", argv, Environment.read().variables, folder)
                try:
                    await steps.run(step)
                except StepFailure as failure:
                    pytest.fail(f"npm ci failed:\n{failure.output}", pytrace=False)
    return home, (str(programs["node"]),)


async def run(argv: tuple[str, ...], folder: Path, variables: Mapping[str, str]) -> str:
    """What the program wrote, which must end well."""
    done = await asyncio.to_thread(
        subprocess.run,
        argv,
        cwd=folder,
        env={"PATH": Environment.read().path, **variables},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def shown(it: Gateway) -> dict[str, str]:
    """Where the gateway is, and what it asks for, as the clients read it."""
    key = it.token.bearer.removeprefix("Bearer ")
    return {"OPENAI_BASE_URL": f"{it.url}/v1", "OPENAI_API_KEY": key}
