from __future__ import annotations

import io
import json
import logging

from hypothesis import given
from hypothesis import strategies as st

from tandemkit.core import log


def written(value: object, *, fail: bool = False) -> str:
    """What a logger of its own writes for one event."""
    stream = io.StringIO()
    sink = logging.StreamHandler(stream)
    sink.setFormatter(log.JsonLines())
    logger = logging.Logger("test")  # noqa: LOG001  of this call alone
    logger.addHandler(sink)
    if fail:
        logger.error("thing.failed", exc_info=KeyError("cause"))
    else:
        log.event(logger, logging.INFO, "thing.happened", value=value)
    return stream.getvalue()


@given(value=st.text())
def test_no_value_can_forge_a_line(value: str) -> None:
    """Whatever a field holds, an event is one line of JSON that gives it back."""
    text = written(value)
    assert len(text.splitlines()) == 1
    assert json.loads(text)["value"] == value
    assert json.loads(text)["event"] == "thing.happened"


def test_an_exception_stays_in_its_line() -> None:
    """The traceback is a field."""
    text = written(None, fail=True)
    assert text.count("\n") == 1
    assert "KeyError" in json.loads(text)["exception"]


def test_a_value_that_json_lacks_is_shown_as_text() -> None:
    """A log line never fails for what it is given."""
    assert json.loads(written(object))["value"] == str(object)
