"""What the process was started with, read once and typed."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.core.environment import Environment, hand_to_libraries


def test_unset_variables_have_the_places_that_the_xdg_rules_give() -> None:
    """Caches and state lie where other programs of the user keep theirs."""
    found = Environment.read({"HOME": "/home/a"})
    assert found.cache == Path("/home/a/.cache/tandem")
    assert found.home == Path("/home/a/.local/state/tandem")
    assert found.root is None


def test_a_relative_path_counts_as_unset() -> None:
    """Where a run keeps its files never depends on the folder that it was started in."""
    found = Environment.read({"HOME": "/home/a", "XDG_CACHE_HOME": "cache", "TANDEM_HOME": "x"})
    assert found.cache == Path("/home/a/.cache/tandem")
    assert found.home == Path("/home/a/.local/state/tandem")


@given(st.sets(st.sampled_from(["consul", "redis", "nats"])), st.sampled_from([",", ", ", " ,"]))
def test_a_part_is_required_exactly_where_it_is_named(parts: set[str], comma: str) -> None:
    """Neither blanks nor order nor an empty list changes what is demanded."""
    found = Environment.read({"TANDEM_REQUIRE": comma.join(sorted(parts))})
    assert {part for part in ("consul", "redis", "nats") if found.requires(part)} == parts


def test_all_requires_every_part() -> None:
    """`all` needs no list that somebody forgets to extend."""
    assert Environment.read({"TANDEM_REQUIRE": "all"}).requires("anything")


def test_all_requires_no_part_that_is_slow_to_get() -> None:
    """Those have a word of their own, which asks for no other."""
    every, slow = (Environment.read({"TANDEM_REQUIRE": word}) for word in ("all", "slow"))
    assert (every.requires("big", slow=True), slow.requires("big", slow=True)) == (False, True)
    assert not slow.requires("anything")


def test_libraries_see_what_they_are_handed() -> None:
    """So do the processes that start from here; what is taken back is gone."""

    def seen() -> str:
        return subprocess.check_output(("sh", "-c", "echo ${TANDEM_TRIAL-none}"), text=True)

    hand_to_libraries({"TANDEM_TRIAL": "a"})
    assert seen() == "a\n"
    hand_to_libraries({"TANDEM_TRIAL": None})
    assert seen() == "none\n"


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://here:4318/"}, "http://here:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://here/odd"}, "http://here/odd"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://here", "OTEL_SDK_DISABLED": "True"}, ""),
    ],
)
def test_spans_go_where_opentelemetrys_variables_say(
    variables: dict[str, str], endpoint: str
) -> None:
    """The base gets its path, an exact one is taken as it is, and no means no."""
    assert Environment.read(variables).otlp_endpoint == endpoint


def test_a_wiped_variable_is_gone_also_for_the_kernel() -> None:
    """`os.environ` alone would leave it in /proc/PID/environ; others stay, and children inherit
    neither.
    """
    script = (
        "import subprocess, sys\n"
        f"from {Environment.__module__} import Environment, wipe\n"
        "wipe({'PLANTED', 'ABSENT'})\n"
        "assert 'PLANTED' not in Environment.read().variables\n"
        "sys.stdout.buffer.write(open('/proc/self/environ', 'rb').read())\n"
        "sys.stdout.flush()\n"
        "subprocess.run(['env'], check=True)\n"
    )
    variables = {"PLANTED": "planted-1234", "STAYS": "stays-1234", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=variables, capture_output=True, check=True
    )
    assert b"planted-1234" not in done.stdout
    assert done.stdout.count(b"STAYS=stays-1234") == 2
