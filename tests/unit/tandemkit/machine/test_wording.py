from __future__ import annotations

import pytest

from tandemkit.machine.wording import blamed, last_line, said
from tandemkit.supervise.reports import Cause, Exited, Killed, Link, NotReady, Raised, Returned

_GROUP = """
  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "a.py", line 1, in build
    | ValueError: no disk
    +------------------------------------
"""


@pytest.mark.parametrize(
    ("tail", "line"),
    [
        ("", ""),
        ("Traceback ...\n  File \nValueError: no disk\n\n", "ValueError: no disk"),
        (_GROUP, "ValueError: no disk"),
        ('{"event": "host.serving", "logger": "a"}\n', "host.serving"),
        ('{"event": "agent.failed", "cause": "no disk"}', "agent.failed: no disk"),
        (
            '{"event": "x", "exception": "Traceback\\nValueError: no disk"}',
            "x: ValueError: no disk",
        ),
        ("[1, 2]", "[1, 2]"),
    ],
)
def test_the_last_word_of_a_process_is_found_in_whatever_it_wrote(tail: str, line: str) -> None:
    """A traceback, a group of them, a line of our log, or anything else."""
    assert last_line(tail) == line


@pytest.mark.parametrize(
    ("cause", "clause"),
    [
        (Exited(None, "SIGKILL", "x"), "its process was ended by SIGKILL"),
        (Killed("it was frozen", "x"), "it was frozen"),
        (Exited(3, "", "x: no disk"), "its process ended with 3: x: no disk"),
        (Exited(None, "", ""), "its process ended"),
        (NotReady(60.0), "it did not answer within 60 s"),
        (Raised((Link("OSError", "no disk", "a:1"),)), "it could not start: no disk"),
        (Returned(), "its process ended"),
    ],
)
def test_each_cause_is_a_clause(cause: Cause, clause: str) -> None:
    """It stands behind the name of the host."""
    assert said(cause) == clause


def test_the_agent_that_a_host_failed_of_is_named() -> None:
    """The last one that its log has; a line that is cut off tells nothing."""
    lines = (
        '{"event": "agent.unbuilt", "agent": "text-tell"}',
        '{"event": "agent.unbuilt", "agent": "text-sum"}',
        '{"event": "agent.serving", "agent": "text-guard"}',
        '{"event": "agent.unbuilt", "ag',
        "ValueError: no disk",
    )
    assert blamed("\n".join(lines)) == "text-sum"
    assert blamed("ValueError: no disk") == ""
    clause = said(Exited(1, "", "ValueError: no disk"), "text-sum")
    assert clause == "its process ended with 1: text-sum: ValueError: no disk"
