"""The REST face against its own document, as schemathesis sees both.

`./tandem bench openapi` asks a whole fleet, and longer.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.utility.toolbox.agent import AGENT as TOOLBOX
from tandemkit.testing.parts import short_folder
from tests.contract.openapi import fuzzing
from tests.unit.services.gateway.http.gateways import Gateway, Probing, gateway

pytestmark = [pytest.mark.cluster, pytest.mark.real("schemathesis"), pytest.mark.timeout(150)]
_SECONDS = 40
# Thousands where nobody else is at work.
_CASES_MIN = 10


async def _document(it: Gateway, form: str) -> dict[str, Any]:
    async with it.client.get(f"{it.url}/openapi.json?form={form}") as told:
        found: dict[str, Any] = await told.json()
    return found


@pytest.mark.parametrize("form", ["preferred", "accepted"])
async def test_the_document_is_valid_openapi(tmp_path: Path, form: str) -> None:
    """So says a validator of others."""
    with short_folder() as folder:
        async with gateway(folder, Probing().agent, TOOLBOX) as it:
            document = await _document(it, form)
    said = fuzzing.valid(document, tmp_path)
    assert said.returncode == 0, said.stdout + said.stderr


async def test_the_gateway_keeps_to_its_document(tmp_path: Path) -> None:
    """What it allows is read, what it forbids is refused, and every failure says why."""
    with short_folder() as folder:
        async with gateway(folder, TOOLBOX) as it:
            asked, _ = fuzzing.divided(await _document(it, "accepted"))
            token = it.token.bearer.removeprefix("Bearer ")
            order = fuzzing.Order(it.url, token, examples=1, seconds=_SECONDS)
            found = await asyncio.to_thread(fuzzing.fuzz, asked, order, tmp_path / "run")
    assert found.has_passed, found.output
    assert found.cases > _CASES_MIN, found.output


async def test_who_shows_a_wrong_token_gets_nothing_done(tmp_path: Path) -> None:
    """Neither by what is allowed nor by what is not."""
    with short_folder() as folder:
        async with gateway(folder, TOOLBOX) as it:
            document = await _document(it, "accepted")
            order = fuzzing.Order(it.url, "wrong", examples=1, seconds=12, is_refused=True)
            found = await asyncio.to_thread(fuzzing.fuzz, document, order, tmp_path / "run")
    assert found.has_passed, found.output
    assert found.cases > _CASES_MIN, found.output


def test_what_changes_the_fleet_itself_is_asked_by_nobody_in_earnest() -> None:
    """Which that is, the contract says: its family, and whether it reads."""
    operation = {"tags": ["control-machine"], "x-tandem-effect": "changes"}
    families = {"control-machine": "control", "utility-files": "utility"}
    assert fuzzing.is_kept_from(operation, families)
    assert not fuzzing.is_kept_from(operation | {"x-tandem-effect": "reads"}, families)
    assert not fuzzing.is_kept_from(operation | {"tags": ["utility-files"]}, families)
