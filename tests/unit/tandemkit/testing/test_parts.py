"""An absent part is told, never passed over."""

from pathlib import Path

import pytest

from tandemkit.cli.parts import BY_NAME, PARTS, Source, find
from tandemkit.core.environment import Environment
from tandemkit.testing.parts import demand, free_ports, short_folder


def bare(folder: Path, **variables: str) -> Environment:
    """A user on a machine that has nothing installed."""
    return Environment.read({"HOME": str(folder), "PATH": str(folder), **variables})


def built(folder: Path) -> Environment:
    """The same, once `./tandem tools` has run."""
    environment = bare(folder)
    tools = environment.tools / "0123" / "bin"
    tools.mkdir(parents=True)
    (tools / "consul").write_text("#!/bin/sh\n")
    (tools / "consul").chmod(0o755)
    return environment


def test_an_absent_part_skips_and_says_how_to_get_it(tmp_path: Path) -> None:
    """Whoever reads the skip knows what to type."""
    with pytest.raises(pytest.skip.Exception) as skipped:
        demand("consul", bare(tmp_path))
    assert "./tandem tools" in str(skipped.value)


@pytest.mark.parametrize("demanded", ["consul", "redis,consul", "all"])
def test_a_demanded_part_that_is_absent_fails(tmp_path: Path, demanded: str) -> None:
    """The same skip is a failure where TANDEM_REQUIRE names the part."""
    with pytest.raises(pytest.fail.Exception) as failed:
        demand("consul", bare(tmp_path, TANDEM_REQUIRE=demanded))
    assert "./tandem tools" in str(failed.value)


def test_demanding_another_part_leaves_a_skip_a_skip(tmp_path: Path) -> None:
    """What is not named may be absent."""
    with pytest.raises(pytest.skip.Exception):
        demand("consul", bare(tmp_path, TANDEM_REQUIRE="redis"))


@pytest.mark.parametrize(("demanded", "fails"), [("all", False), ("slow", True), ("ollama", True)])
def test_a_part_that_is_slow_to_get_is_demanded_by_that_word(
    tmp_path: Path, demanded: str, fails: bool
) -> None:
    """Nobody who demands all waits for minutes, and the skip says how to get it all the same."""
    outcome = pytest.fail.Exception if fails else pytest.skip.Exception
    with pytest.raises(outcome) as told:
        demand("ollama", bare(tmp_path, TANDEM_REQUIRE=demanded))
    assert "./tandem setup test --slow" in str(told.value)


def test_what_the_tools_command_built_is_found(tmp_path: Path) -> None:
    """A part needs no PATH once `./tandem tools` has built it."""
    environment = built(tmp_path)
    assert demand("consul", environment)["consul"].parent.parent.name == "0123"


def test_a_build_that_was_killed_is_not_found(tmp_path: Path) -> None:
    """Only a whole build counts; one in progress lies under a name of its own."""
    environment = built(tmp_path)
    (environment.tools / "0123").rename(environment.tools / "new-abc")
    assert find(BY_NAME["consul"], environment) is None


def test_every_part_says_how_to_get_it() -> None:
    """No part of the table leaves a reader without a next step, and no two share a name."""
    assert len(BY_NAME) == len(PARTS)
    for part in PARTS:
        assert part.programs
        # What no command of ours gets is a person's to install.
        step = "install " if part.source is Source.PERSON else "./"
        assert step in part.how_to_get


def test_free_ports_are_distinct() -> None:
    """Two servers of one test never get the same port."""
    assert len(set(free_ports(20))) == 20


def test_a_short_folder_leaves_room_for_a_sockets_name() -> None:
    """Unix socket paths end at 107 bytes."""
    with short_folder() as folder:
        assert len(str(folder / ".s.PGSQL.5432.lock")) < 60
    assert not folder.exists()
