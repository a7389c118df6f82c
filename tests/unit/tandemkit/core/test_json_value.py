"""JSON of others, whatever it is."""

from __future__ import annotations

import pytest

from tandemkit.core.json_value import DEPTH_MAX, is_deeper, parsed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Expecting property name"),
        ("[" * 100_000, "nested deeper"),
        ("[" * (DEPTH_MAX + 1) + "1" + "]" * (DEPTH_MAX + 1), "nested deeper"),
        ('{"a":' * 300 + "1" + "}" * 300, "nested deeper"),
        ('"\\ud800"', "half a character"),
        ('{"a": {"\\uDC00": 1}}', "half a character"),
    ],
)
def test_what_cannot_be_read_fails_in_one_way(text: str, said: str) -> None:
    """With a ValueError that says what is wrong, and with no other exception."""
    with pytest.raises(ValueError, match=said):
        parsed(text)


def test_what_can_be_read_is_what_it_says() -> None:
    """A whole character in two halves is one, and many brackets are not deep."""
    assert parsed('{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}
    assert parsed("[" * DEPTH_MAX + "1" + "]" * DEPTH_MAX)
    assert len(parsed(f"[{','.join(['[]'] * 1000)}]")) == 1000


def test_depth_is_counted_by_containers() -> None:
    """A value in a list in an object is two levels deep."""
    assert not is_deeper({"a": [1]}, 2)
    assert is_deeper({"a": [1]}, 1)
    assert not is_deeper(1, 0)
