"""How a shell is told to set a variable, in a form that it evaluates."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _powershell(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# For each shell: how it sets a variable, and how it takes one away.
_SET: Mapping[str, Callable[[str, str], str]] = {
    "sh": lambda name, value: f"export {name}={shlex.quote(value)}",
    "fish": lambda name, value: f"set -gx {name} {_fish(value)};",
    "powershell": lambda name, value: f"$env:{name} = {_powershell(value)}",
    "cmd": lambda name, value: f'set "{name}={value}"',
}
_UNSET: Mapping[str, str] = {
    "sh": "unset {}",
    "fish": "set -e {};",
    "powershell": "Remove-Item Env:{}",
    "cmd": 'set "{}="',
}
SHELLS = tuple(_SET)


def lines(shell: str, variables: Mapping[str, str | None]) -> str:
    """One line for each variable; None takes it away."""
    return "\n".join(
        _UNSET[shell].format(name) if value is None else _SET[shell](name, value)
        for name, value in variables.items()
    )
