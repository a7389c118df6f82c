"""A host for Node, held to what every runtime owes."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tandem.fleet.v1.plan_pb2 import PlannedHost
from tandem.fleet.v1.runtime_pb2 import RUNTIME_NODE
from tandem.polyglot.v1 import page_pb2 as nouns
from tandem.polyglot.v1 import page_text_service_pb2 as pb
from tandemkit.machine.home import Home
from tandemkit.machine.orders import Order
from tests.contract.runtime import test_python
from tests.contract.runtime.case import Argv, Asked, Broken, Held, Refused, Runtime
from tests.contract.runtime.suite import RuntimeSuite
from tests.polyglot.noding import node_host

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

PAGE = b"<title>Hello</title><p>Hello, <b>reader</b>.</p>"


def started(program: tuple[str, ...]) -> Argv:
    """As a supervisor starts it."""

    def argv(order: Order, home: Home) -> tuple[str, ...]:
        plan = home.hosts / f"{order.name}.plan.binpb"
        return (*program, str(plan), *order.options(home))

    return argv


async def node() -> Runtime:
    """Built if it was not."""
    return Runtime(
        name="node",
        argv=started((await node_host()).argv),
        file=pb.DESCRIPTOR,
        good=Asked(
            "ReadPage",
            pb.ReadPageRequest(content=PAGE),
            lambda found: found.page.text == "Hello, reader.",
        ),
        refused=Refused(
            "ReadPage",
            pb.ReadPageRequest(
                content=PAGE, reading=nouns.PageReading(content_type="text/html; charset=klingon")
            ),
            "CHARSET_UNKNOWN",
        ),
        broken=Broken(
            "ReadPage",
            pb.ReadPageRequest(reading=nouns.PageReading(links_max=-1)),
            "reading.links_max",
        ),
        held=Held(
            "ReadLongPage",
            pb.ReadLongPageRequest(start=nouns.PageReading()),
            pb.ReadLongPageRequest(content=PAGE),
            lambda found: found.page.title == "Hello",
        ),
        planned=PlannedHost(groups=["polyglot-node"], runtime=RUNTIME_NODE),
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runtime() -> Runtime:
    return await node()


class TestNode(RuntimeSuite):
    """With the agent that reads pages."""


async def test_m016_an_agent_for_node_is_held_to_all_that_python_is() -> None:
    """Nothing of the suite is left out for it, or is another test than for Python."""
    python = test_python.TestPython
    held = {name for name in dir(python) if name.startswith("test_")}
    assert len(held) > 40
    assert {name for name in dir(TestNode) if name.startswith("test_")} == held
    assert all(getattr(TestNode, name) is getattr(python, name) for name in held)
