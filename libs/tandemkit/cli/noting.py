"""Who asks for a change, and why: the note that goes with it into the history."""

from __future__ import annotations

import functools
import os
import pwd
import sys
from collections.abc import Callable
from typing import Any

import click

from tandem.control.v1.traffic_policy_pb2 import ChangeNote


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives the command a `note`, and itself the options that make one."""

    @click.option("--author", help="Who asks for it (default: your login).")
    @click.option("--reason", help="Why (default: the command itself).")
    @functools.wraps(command)
    def noted(*, author: str | None, reason: str | None, **more: Any) -> Any:
        return command(note=note_of(author, reason), **more)

    return noted


def note_of(author: str | None, reason: str | None) -> ChangeNote:
    return ChangeNote(
        author=author or _login(), reason=reason or " ".join(["./tandem", *sys.argv[1:]])
    )


def _login() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user need not have a name
        return f"user {os.getuid()}"
