"""Whoever has Triton's client asks a fleet that was just started for vectors, as the docs say."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from services.gateway.kserve.agent import AGENT as KSERVE
from services.memory.embedding.agent import AGENT as EMBEDDING
from tandemkit.testing.parts import demand
from tests.cluster.fleets import SERVED, Checkout, detached_fleet
from tests.repo.checkout import root

pytestmark = [pytest.mark.cluster, pytest.mark.real("tritonclient")]
_MODEL = {"name": "all-minilm-l6-v2", "hashing": {}}


@pytest.fixture
async def fleet() -> AsyncIterator[Checkout]:
    """One whose texts become vectors without a model."""
    settings = {EMBEDDING.name: {"models": [_MODEL]}}
    async with detached_fleet((*SERVED, EMBEDDING, KSERVE), settings) as checkout:
        yield checkout


def documented() -> str:
    """The program of the page, as it stands there."""
    page = (root() / "docs" / "design" / "kserve.md").read_text("utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    return str(program)


async def test_the_program_of_the_docs_runs_as_it_stands_there(fleet: Checkout) -> None:
    """With what `./tandem env` exports, and, at the address that it names, without xDS."""
    python = str(demand("tritonclient")["python"])
    told = (await fleet.tandem("env")).stdout
    fleet.variables |= {"PROGRAM": documented(), "TOLD": told}
    done = await fleet.run("sh", "-c", f'eval "$TOLD"; exec {python} -I -c "$PROGRAM"')
    assert done.stdout == "(2, 384)\n", done.stderr
    address = (await fleet.tandem("env", "kserve")).stdout.strip()
    assert re.fullmatch(r"\S+:[0-9]+", address)
    plain = documented().replace("xds:///tandem", address)
    fleet.variables["PROGRAM"] = plain
    done = await fleet.run("sh", "-c", f'eval "$TOLD"; exec {python} -I -c "$PROGRAM"')
    assert done.stdout == "(2, 384)\n", done.stderr
