"""Values that go from responses into requests, of contracts that may change meanwhile."""

from __future__ import annotations

import pytest

from services.tasks.workflow.wiring import Unwired, Wire, wired
from tandem.utility.v1 import text_pb2 as text
from tests.unit.services.tasks.workflow.toolbox import call, value


@pytest.mark.parametrize(("taken", "to"), [("gone", "text"), ("text", "gone"), ("", "text")])
def test_a_value_that_fits_no_more_is_told_as_that(taken: str, to: str) -> None:
    """The plan was checked against an earlier version of the two agents."""
    wire = Wire(value("a", taken, to), text.NormalizeTextResponse)
    answers = {"a": text.NormalizeTextResponse(text="x").SerializeToString()}
    with pytest.raises(Unwired):
        wired(call(), text.NormalizeTextRequest, [wire], answers)
