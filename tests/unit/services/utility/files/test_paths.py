import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.utility.files.jail import Jail
from services.utility.files.paths import TRASH_NAME, Parts, parse_path, shown
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

# What attacks are made of, between ordinary names.
_PIECES = (
    "..",
    ".",
    "",
    "/",
    "\\",
    "\0",
    "\n",
    "~",
    "%2e%2e",
    "etc",
    "a",
    "ü",
    "\udcff",
    TRASH_NAME,
)
attacks = st.lists(st.sampled_from(_PIECES) | st.text(max_size=5), max_size=8).map("/".join)


def _parsed(path: str) -> Parts | None:
    try:
        return parse_path(path)
    except CallerError:
        return None


@given(st.text() | attacks)
def test_what_passes_stays_below_the_root(path: str) -> None:
    """Whatever string comes, what passes the parser names something at or below the root."""
    parts = _parsed(path)
    if parts is not None:
        joined = Path("/root-of-test", *parts)
        assert joined.is_relative_to("/root-of-test")
        assert os.path.normpath(joined) == str(joined)


@given(st.text() | attacks)
def test_what_passes_is_shown_as_it_came(path: str) -> None:
    """A path has one spelling: what is parsed and shown is what was sent."""
    parts = _parsed(path)
    assert parts is None or shown(parts) == path


@given(st.text() | attacks)
def test_whatever_is_opened_is_below_the_root(path: str) -> None:
    """The jail opens nothing but what lies below its root, for any string that the parser lets
    pass.
    """
    jail = Jail("/proc/self/fdinfo")
    try:
        parts = _parsed(path)
        if parts:
            with jail.file(parts) as descriptor:
                assert Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to("/proc")
    except CallerError:
        pass
    finally:
        jail.close()


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("/etc/passwd", "absolute"),
        ("//etc", "absolute"),
        ("..", "dot_component"),
        ("a/../../b", "dot_component"),
        ("./a", "dot_component"),
        ("a//b", "empty_component"),
        ("a/", "empty_component"),
        ("a\0b", "control_character"),
        ("a\nb", "control_character"),
        ("a\x7f", "control_character"),
        ("..\\..\\b", "backslash"),
        ("C:\\b", "backslash"),
        ("x" * 256, "name_too_long"),
        ("ü" * 128, "name_too_long"),
        ("/".join("a" * 65), "too_deep"),
        ("/".join(["x" * 250] * 20), "too_long"),
        ("\udcff", "not_utf8"),
        (TRASH_NAME, "reserved"),
        (f"{TRASH_NAME.upper()}/a", "reserved"),
        (f"a/{TRASH_NAME}", "reserved"),
    ],
)
def test_a_refused_path_says_which_rule_it_breaks(path: str, rule: str) -> None:
    """Each way out of the root, and each ambiguous spelling, is refused by a rule with a name."""
    with pytest.raises(CallerError) as raised:
        parse_path(path)
    assert raised.value.reason == errors.ERROR_REASON_BAD_PATH
    assert raised.value.metadata == {"rule": rule}
    assert raised.value.field == "path"


@pytest.mark.parametrize(
    "path", ["a", "a b/c", "...", "..a", "a..", ".hidden", "~", "ü/日本", "a:b"]
)
def test_ordinary_names_pass(path: str) -> None:
    """Names that only look unusual are names."""
    assert parse_path(path) == tuple(path.split("/"))
