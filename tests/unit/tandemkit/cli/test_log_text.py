"""Lines of a log for people: nothing that somebody wrote into them does anything to a terminal."""

from __future__ import annotations

import json

import pytest

from tandemkit.cli.log_text import as_json, renderer

PLAIN = renderer(is_coloured=False)
COLOURED = renderer(is_coloured=True)


def line(**fields: object) -> str:
    told = {"time": "2026-11-21T20:00:00.123+00:00", "level": "INFO", "event": "a.b", "logger": "x"}
    return json.dumps({**told, **fields})


def test_a_line_is_time_level_event_and_fields() -> None:
    """Values that are no single word are quoted, so that each has an end."""
    shown = PLAIN("agents", line(level="WARNING", host="a", why="two words", n=3, some=["x"]))
    assert shown.split(" ", 2)[2] == 'WARN  a.b  host=a  why="two words"  n=3  some=["x"]'


def test_an_exception_stands_below_its_line() -> None:
    """Indented, line by line."""
    shown = PLAIN("agents", line(exception="Traceback\n  File x\nKeyError: '\x1b[2J'"))
    assert shown.splitlines()[1:] == ["    Traceback", "      File x", r"    KeyError: '\x1b[2J'"]


@pytest.mark.parametrize(
    "wrote",
    [
        line(event="\x1b]0;owned\x07"),
        line(level="\x1b[2J"),
        line(time="\x1b[2J"),
        line(**{"\x1b[2J": 1}),
        line(why="\x9b31m\r\nforged"),
        "no JSON \x1b[31m",
        '{"event": 5, "x": "\u202e"}',
        "[1, 2]",
        "[" * 100_000,
        line(time="0001-01-01T00:00:00+14:00"),
    ],
)
def test_nothing_of_a_line_is_obeyed(wrote: str) -> None:
    """Not in its names, its level or its time either; colours are ours alone."""
    for shown in (PLAIN("h", wrote), as_json("h", wrote)):
        assert shown.isprintable()
    ours = COLOURED("h", wrote)
    for colour in ("\033[2m", "\033[0m", "\033[31m", "\033[33m"):
        ours = ours.replace(colour, "")
    assert ours.isprintable()


def test_json_passes_what_was_written() -> None:
    """What is no JSON becomes some, with the host that wrote it."""
    assert json.loads(as_json("h", line(n=3))) == json.loads(line(n=3))
    assert json.loads(as_json("h", "a library's words")) == {
        "host": "h",
        "text": "a library's words",
    }
