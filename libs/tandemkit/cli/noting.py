"""Who asks for a change, and why: the note that goes with it into the history."""

from __future__ import annotations

import functools
import os
import pwd
import sys
import unicodedata
from collections.abc import Callable
from typing import Any

import click

from tandem.control.v1.traffic_policy_pb2 import ChangeNote

# What the contract takes, on one line.
_REASON_CHARS_MAX = 500


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives the command a `note`, and itself the options that make one."""

    @click.option("--author", help="Who asks for it (default: your login).")
    @click.option("--reason", help="Why (default: the command itself).")
    @functools.wraps(command)
    def noted(*, author: str | None, reason: str | None, **more: Any) -> Any:
        return command(note=note_of(author, reason), **more)

    return noted


def note_of(author: str | None, reason: str | None) -> ChangeNote:
    return ChangeNote(author=author or _login(), reason=reason or _typed())


def _typed() -> str:
    """The command itself, as much of it as a reason holds: a value can be a whole document."""
    text = " ".join(["./tandem", *sys.argv[1:]])
    line = "".join(" " if unicodedata.category(one).startswith("C") else one for one in text)
    return line if len(line) <= _REASON_CHARS_MAX else f"{line[: _REASON_CHARS_MAX - 1]}…"


def _login() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user need not have a name
        return f"user {os.getuid()}"
