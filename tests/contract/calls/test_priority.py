"""The class of a call, and what becomes of it along a chain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio

from tandemkit.rpc.current import SERVING
from tandemkit.rpc.priority import HEADER, Priority
from tests.contract.calls.paths import OF_A_MESH
from tests.contract.calls.scripted import Reached, ask, reached_by, said
from tests.contract.calls.test_unary import failed

# Of one loop with the control plane; so is every module of the suite.
pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(params=OF_A_MESH, loop_scope="session")
async def mesh(request: pytest.FixtureRequest, mesh_port: int) -> AsyncIterator[Reached]:
    """The agent on each path that a chain of calls can take."""
    async with reached_by(request.param, mesh_port) as reached:
        yield reached


async def test_a_call_has_the_class_that_it_names_or_its_methods(it: Reached) -> None:
    """The header counts; without it the contract does, and without that it is standard."""
    seen = _seen(it)
    await it.stub.Echo(ask())
    await it.stub.Echo(ask(), metadata=(Priority.INTERACTIVE.header,))
    await it.stub.Echo(ask(), metadata=(Priority.BATCH.header,))
    await it.stub.Collect(iter([ask()]))
    await it.stub.Collect(iter([ask()]), metadata=(Priority.STANDARD.header,))
    assert [one.word for one in seen] == ["standard", "interactive", "batch", "batch", "standard"]


async def test_a_word_that_is_no_class_is_refused(it: Reached) -> None:
    """The caller is told the words that are."""
    seen = _seen(it)
    failure = await failed(it.stub.Echo(ask(), metadata=((HEADER, "Batch"),)))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert failure.violations == {HEADER: "is none of interactive, standard, batch"}
    assert not seen


@pytest.mark.parametrize(
    ("outer", "inner", "became"),
    [
        (Priority.INTERACTIVE, None, "interactive"),
        (Priority.BATCH, None, "batch"),
        (Priority.INTERACTIVE, Priority.BATCH, "batch"),
        (Priority.BATCH, Priority.INTERACTIVE, "batch"),
        (Priority.STANDARD, Priority.STANDARD, "standard"),
    ],
)
async def test_a_class_goes_along_a_chain_and_never_rises(
    mesh: Reached, outer: Priority, inner: Priority | None, became: str
) -> None:
    """What a call leads to is of its class or of a lesser one, whatever the called method's own."""
    seen: list[Priority] = []

    async def script(request: Any, _context: Any) -> Any:
        if getattr(request, "text", "inner") == "outer":
            headers = (inner.header,) if inner else ()
            await mesh.stub.Collect(iter([ask("inner")]), metadata=headers)
            await mesh.stub.Echo(ask("inner"), metadata=headers)
        else:
            seen.append(_class_served())
        return said("")

    mesh.agent.script = script
    await mesh.stub.Echo(ask("outer"), metadata=(outer.header,))
    assert [one.word for one in seen] == [became, became]


def _seen(it: Reached) -> list[Priority]:
    """The classes of the calls that come from now on."""
    seen: list[Priority] = []

    async def script(_request: Any, _context: Any) -> Any:
        seen.append(_class_served())
        return said("")

    it.agent.script = script
    return seen


def _class_served() -> Priority:
    serving = SERVING.get()
    assert serving is not None
    return serving.priority
