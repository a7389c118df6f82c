"""The JSON of a request, where it is none."""

from __future__ import annotations

import pytest

from tandem.utility.v1.toolbox_service_pb2 import DESCRIPTOR
from tandemkit.cli.call_requests import message_of
from tandemkit.cli.output import Refusal

_DIGEST = DESCRIPTOR.services_by_name["ToolboxService"].methods_by_name["DigestBytes"]


@pytest.mark.parametrize("value", [float("inf"), [1], {}, "x"])
def test_what_is_no_value_of_an_enum_is_refused(value: object) -> None:
    """A number without end too: `1e999` is JSON."""
    with pytest.raises(Refusal) as refused:
        message_of(_DIGEST, {"algorithm": value})
    assert refused.value.message.startswith("the request is no tandem.utility.v1.DigestBytes")
