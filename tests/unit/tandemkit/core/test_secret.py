"""Secrets as values, and what is written where they are known."""

from __future__ import annotations

import copy
import io
import json
import logging
import pickle
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TextIO, cast

import pytest

from tandemkit.core import log, redaction
from tandemkit.core.errors import Bug
from tandemkit.core.redaction import MASK, Veiled, redacted
from tandemkit.core.secret import Secret, SecretMissing, require_secret

VALUE = "sk-9f+'quoted\"/x=="


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    redaction.forget()


@dataclass
class Login:
    user: str
    password: Secret


def test_a_secret_shows_itself_in_no_form() -> None:
    """Printed, formatted, inside of others, copied, as a dictionary or as a failure's metadata."""
    secret = Secret(VALUE)
    redaction.forget()
    login = Login("ada", secret)
    forms = (
        *(repr(secret), str(secret), f"{secret:>40}", f"{secret!r}", str([secret]), repr(login)),
        *(str(asdict(login)), str(copy.deepcopy(login)), str(Bug("no", key=secret))),
        *(json.dumps({"key": secret}, default=str), "{}".format(*[secret])),
    )
    assert [one for one in forms if VALUE in one or VALUE[:6] in one] == []
    assert secret.reveal() == VALUE
    assert not hasattr(secret, "__dict__")


def test_a_secret_leaves_the_process_in_no_serialization() -> None:
    """Who needs it elsewhere reveals it there."""
    for turn in (pickle.dumps, json.dumps):
        with pytest.raises(TypeError):
            turn(Secret(VALUE))


def test_secrets_are_compared_by_value_and_are_no_keys() -> None:
    """A set of them would tell which are equal."""
    assert Secret("same-value") == Secret("same-value")
    assert Secret("same-value") != Secret("other-value")
    assert Secret("same-value") != "same-value"
    with pytest.raises(TypeError, match="no key"):
        {Secret("same-value")}


def test_m122_a_missing_secret_is_a_value_error_that_names_it() -> None:
    """As the requirements quote it: ValueError, `Missing required ...`."""
    assert require_secret({"openai_api_key": Secret(VALUE)}, "openai_api_key").reveal() == VALUE
    with pytest.raises(ValueError, match=r"Missing required .*openai_api_key") as told:
        require_secret({}, "openai_api_key")
    assert isinstance(told.value, SecretMissing)
    with pytest.raises(ValueError, match="Missing required"):
        require_secret({"empty": Secret("")}, "empty")


@pytest.mark.parametrize(
    "written",
    [
        VALUE,
        repr(VALUE),
        json.dumps({"a": VALUE}),
        "https://host/?key=sk-9f%2B%27quoted%22%2Fx%3D%3D&b=1",
        "Basic c2stOWYrJ3F1b3RlZCIveD09",
    ],
)
def test_a_known_value_is_taken_out_of_every_usual_spelling(written: str) -> None:
    """Escaped by JSON, by Python, by a URL, in base64."""
    Secret(VALUE)
    assert MASK in redacted(f"before {written} behind")
    assert "quoted" not in redacted(written)


def test_the_lines_of_a_key_are_taken_out_one_by_one() -> None:
    """A log shows each alone."""
    body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"
    Secret(f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
    assert redacted(f"line 2: {body}") == f"line 2: {MASK}"


def test_a_value_of_before_stays_hidden() -> None:
    """A rotation does not make the old one public."""
    Secret("first-value")
    Secret("second-value")
    assert redacted("first-value, second-value") == f"{MASK}, {MASK}"


@pytest.mark.parametrize("value", ["a", "cat", "true", "2026", "1234567"])
def test_too_plain_a_value_is_not_looked_for(value: str) -> None:
    """Else every `a` of a log would be one, and a year or a `true` would spoil its JSON."""
    Secret(value)
    assert redacted(f"see {value} there") == f"see {value} there"


def test_a_log_line_holds_no_known_secret() -> None:
    """In fields, in messages, in tracebacks."""
    Secret(VALUE)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(log.JsonLines())
    logger = logging.getLogger("tandemkit.test_secret")
    logger.addHandler(handler)
    try:
        log.event(logger, logging.ERROR, "test.told", key=VALUE, nested={"deep": [VALUE]})
        error = ValueError(VALUE)
        logger.error("test.raised", exc_info=error)
    finally:
        logger.removeHandler(handler)
    lines = [json.loads(one) for one in stream.getvalue().splitlines()]
    assert [one["event"] for one in lines] == ["test.told", "test.raised"]
    assert "quoted" not in stream.getvalue()
    assert lines[0]["key"] == MASK


def test_a_veiled_stream_hides_what_is_printed() -> None:
    """By code that knows nothing of logs, and by the interpreter."""
    Secret(VALUE)
    stream = io.StringIO()
    veiled = cast("TextIO", Veiled(stream))
    veiled.write(f"a {VALUE}\n")
    veiled.writelines([VALUE, "b\n"])
    veiled.flush()
    assert stream.getvalue() == f"a {MASK}\n{MASK}b\n"
