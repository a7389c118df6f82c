from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import pytest

from tandemkit.core.clock import SystemClock
from tandemkit.machine.logs import Log, about, everything
from tandemkit.machine.upkeep import rotate

LINES = tuple(f"line {number} {'x' * 100}" for number in range(20_000))


@pytest.mark.parametrize("wanted", [0, 1, 50, 9_000, 30_000])
def test_the_last_lines_come_whole_and_in_order(tmp_path: Path, wanted: int) -> None:
    """However far back they reach, also beyond the file's beginning."""
    path = tmp_path / "a.log"
    path.write_text("".join(f"{line}\n" for line in LINES))
    expected = list(LINES[-wanted:]) if wanted else []
    assert Log(path).tail(wanted, everything) == expected


def test_a_host_that_wrote_nothing_has_no_lines(tmp_path: Path) -> None:
    """Its file need not be there."""
    assert Log(tmp_path / "no.log").tail(10, everything) == []


async def test_who_follows_gets_each_line_once_and_whole(tmp_path: Path) -> None:
    """Also one that is written in two pieces, and those behind a cut."""
    path = tmp_path / "a.log"
    path.write_text("old\n")
    log = Log(path)
    assert log.tail(1, everything) == ["old"]
    with path.open("a", buffering=1) as file:
        file.write("one\ntw")
        file.flush()
        async with aclosing(log.follow(SystemClock(), everything)) as lines:
            assert await anext(lines) == ["one"]
            file.write("o\n")
            assert await anext(lines) == ["two"]
            file.truncate(0)
            file.write("new\n")
            assert await anext(lines) == ["new"]


def test_lines_of_an_agent_are_those_that_name_it() -> None:
    """By its name, its contract, a task of it, or its code; and no name that only begins alike."""
    matches = about("text-tell", "tandem.text.v1.TellService")
    assert matches('{"agent": "text-tell"}')
    assert matches('{"rpc": "/tandem.text.v1.TellService/Tell"}')
    assert matches('{"child": "agents/text-tell"}')
    assert matches('{"logger": "services.text.tell"}')
    assert not matches('{"agent": "text-tell-nightly"}')


def test_a_log_that_grew_too_large_becomes_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who writes goes on at the beginning of an empty file, and two files are all that there is."""
    monkeypatch.setattr("tandemkit.machine.upkeep.LOG_BYTES_MAX", 10)
    path = tmp_path / "a.log"
    with path.open("a", buffering=1) as file:
        for text in ("first, long\n", "second, long\n"):
            file.write(text)
            rotate(tmp_path)
            assert path.read_text() == ""
        file.write("now\n")
    assert path.read_text() == "now\n"
    assert (tmp_path / "a.log.1").read_text() == "second, long\n"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_log_that_a_full_disk_has_no_second_room_for_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks after the logs looks after more than those, so it goes on."""
    monkeypatch.setattr("tandemkit.machine.upkeep.LOG_BYTES_MAX", 10)
    log = tmp_path / "a.log"
    log.write_text("much too long\n")
    log.with_suffix(".log.1").symlink_to("/dev/full")
    rotate(tmp_path)
    assert log.read_text() == "much too long\n"
    assert not log.with_suffix(".log.1").is_symlink()
