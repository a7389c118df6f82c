"""What keeps the REST face to its own document."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.utility.toolbox.agent import AGENT as TOOLBOX
from tandemkit.testing.parts import short_folder
from tests.unit.services.gateway.http.gateways import Gateway, Probing, gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it() -> AsyncIterator[Gateway]:
    with short_folder() as folder:
        async with gateway(folder, Probing().agent, TOOLBOX) as found:
            yield found


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"content": "\u0084"}, "content"),
        ({"content": "AAAAA"}, "content"),
        ({"algorithm": False}, "algorithm"),
        ({"algorithm": 1.5}, "algorithm"),
    ],
)
async def test_what_the_reader_of_json_overlooks_is_refused(
    it: Gateway, value: object, field: str
) -> None:
    """Signs that are none of base64, and what is no enum, never reach an agent otherwise."""
    status, problem = await it.post("/api/utility-toolbox/DigestBytes", value)
    assert (status, problem["reason"]) == (400, "MESSAGE_INVALID")
    assert [one["field"] for one in problem["violations"]] == [field]


@pytest.mark.parametrize("number", [True, "1_000", "inf", " 1"])
async def test_a_number_is_spelled_as_json_spells_it(it: Gateway, number: object) -> None:
    """And not as Python would also read it."""
    value = {"value": number, "fromUnit": "m", "toUnit": "km"}
    status, problem = await it.post("/api/utility-toolbox/ConvertQuantity", value)
    assert (status, problem["reason"]) == (400, "MESSAGE_INVALID")


@pytest.mark.parametrize("nothing", [[], "", 0])
async def test_what_is_no_object_is_no_message(it: Gateway, nothing: object) -> None:
    """Though it may be as empty as one."""
    value = {"document": "{}", "patch": nothing}
    status, problem = await it.post("/api/utility-toolbox/PatchDocument", value)
    assert (status, problem["reason"]) == (400, "MESSAGE_INVALID")


async def test_an_unknown_verb_is_told_which_the_method_takes(it: Gateway) -> None:
    """GET only where nothing is changed."""
    for path, verbs in (
        ("/api/probe-probe/Collect", "POST"),
        ("/api/utility-toolbox/MeasureText", "GET, HEAD, POST"),
    ):
        async with it.client.delete(f"{it.url}{path}") as told:
            assert (told.status, told.headers["allow"]) == (405, verbs)


async def test_a_deadline_that_passes_here_has_its_reason(it: Gateway) -> None:
    """Also where no agent had the time to say it."""
    headers = {"x-tandem-timeout": "1ms"}
    status, problem = await it.post("/api/probe-probe/Narrow", {}, headers=headers)
    assert (status, problem["code"]) == (504, "DEADLINE_EXCEEDED")
    assert problem["reason"] in {"DEADLINE_EXCEEDED", "DEADLINE_TOO_SHORT"}
    assert problem["domain"] == "tandem.type.v1"
