"""A Go host, held to what every runtime owes."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytest_asyncio

from tandem.fleet.v1.plan_pb2 import PlannedHost
from tandem.polyglot.v1 import file_digest_service_pb2 as pb
from tandemkit.machine.home import Home
from tandemkit.machine.orders import Order
from tests.contract.runtime import test_python
from tests.contract.runtime.case import Argv, Asked, Broken, Held, Refused, Runtime
from tests.contract.runtime.suite import RuntimeSuite
from tests.polyglot.going import go_host

pytestmark = [
    pytest.mark.cluster,
    # The first of them may have to wait for Go.
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]

START = pb.DigestFileRequest(start=pb.DigestFileRequest.Start())
PIECE = pb.DigestFileRequest(piece=pb.DigestFileRequest.Piece(content=b"hello"))


def started(program: Path) -> Argv:
    """As a supervisor starts it, but for its state: one instance owns it, and here many run."""

    def argv(order: Order, home: Home) -> tuple[str, ...]:
        plan = home.hosts / f"{order.name}.plan.binpb"
        own = ("--state", str(home.state / order.name))
        return (str(program), str(plan), *order.options(home), *own)

    return argv


async def go() -> Runtime:
    """Built if it was not."""
    return Runtime(
        name="go",
        argv=started((await go_host()).program),
        file=pb.DESCRIPTOR,
        good=Asked("DescribeIndex", pb.DescribeIndexRequest(), lambda found: found.files_max > 0),
        refused=Refused(
            "ListParts",
            pb.ListPartsRequest(name="files/a", page_token="no-token"),
            "PAGE_TOKEN_INVALID",
        ),
        broken=Broken("ForgetFile", pb.ForgetFileRequest(), "name"),
        held=Held("DigestFile", START, PIECE, lambda found: found.size_bytes == len(b"hello")),
        planned=PlannedHost(groups=["polyglot"]),
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runtime() -> Runtime:
    return await go()


class TestGo(RuntimeSuite):
    """With the agent that digests files."""


async def test_m017_an_agent_in_go_is_held_to_all_that_python_is() -> None:
    """Nothing of the suite is left out for it, or is another test than for Python."""
    python = test_python.TestPython
    held = {name for name in dir(python) if name.startswith("test_")}
    assert len(held) > 40
    assert {name for name in dir(TestGo) if name.startswith("test_")} == held
    assert all(getattr(TestGo, name) is getattr(python, name) for name in held)
