"""A Python host, held to what every runtime owes."""

from __future__ import annotations

import pytest

from services.utility.toolbox.agent import AGENT
from tandem.fleet.v1.plan_pb2 import PlannedHost
from tandem.utility.v1 import digest_pb2 as digest
from tandem.utility.v1 import quantity_pb2 as quantity
from tandem.utility.v1 import text_pb2 as text
from tandemkit.machine.launching import from_source
from tests.contract.runtime.case import Asked, Broken, Held, Refused, Runtime
from tests.contract.runtime.suite import RuntimeSuite

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

PYTHON = Runtime(
    name="python",
    argv=from_source,
    file=AGENT.contract,
    good=Asked(
        "MeasureText", text.MeasureTextRequest(text="hello"), lambda found: found.code_points == 5
    ),
    refused=Refused(
        "ConvertQuantity",
        quantity.ConvertQuantityRequest(
            quantity=quantity.Quantity(value=1, unit="furlongs-of-old"), target_unit="m"
        ),
        "UNIT_UNKNOWN",
    ),
    broken=Broken(
        "ConvertQuantity",
        quantity.ConvertQuantityRequest(quantity=quantity.Quantity(value=1, unit="mile")),
        "target_unit",
    ),
    held=Held(
        "DigestStream",
        digest.DigestStreamRequest(algorithm=digest.DIGEST_ALGORITHM_SHA256),
        digest.DigestStreamRequest(content=b"hello"),
        lambda found: found.bytes_digested == 5,
    ),
    planned=PlannedHost(groups=["polyglot"]),
)


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return PYTHON


class TestPython(RuntimeSuite):
    """Beside an agent of the utility family."""
