"""Names of the running fleet, as completion needs them: asked for, and kept for a moment in a file,
for each press of Tab is a process of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from tandemkit.cli import names_asking
from tandemkit.cli.names_asking import Field, Names, Unasked
from tandemkit.core.clock import Clock, SystemClock
from tandemkit.core.environment import Environment

# For so long nobody is asked again; contracts change with a deployment, hosts at any time.
_NAMES_S, _CONTRACTS_S = 10.0, 60.0
_CLOCK = SystemClock()


class Kept:
    """What was asked last, in a file of the cache: it may be damaged, old, or not there."""

    def __init__(self, environment: Environment, clock: Clock = _CLOCK) -> None:
        home = hashlib.sha256(bytes(environment.home)).hexdigest()[:16]
        self._path = environment.cache / "completion" / f"{home}.json"
        self._now_s = clock.now().timestamp()
        self._told = _read(self._path)

    def get(
        self, key: str, fresh_s: float, ask: Callable[[], Any], other: Callable[[], Any]
    ) -> Any:
        """What is kept where that is fresh, what is asked now, what is kept, or something other."""
        at_s, value = self._told.get(key, (0.0, None))
        if value is not None and 0 <= self._now_s - at_s < fresh_s:
            return value
        try:
            told = ask()
        except Unasked:
            return value if value is not None else other()
        self._told[key] = (self._now_s, told)
        self._write()
        return told

    def _write(self) -> None:
        fresh = self._path.with_suffix(f".{os.getpid()}")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.write_text(json.dumps(self._told))
            fresh.replace(self._path)
        except OSError:
            # A full disk costs the next one some milliseconds.
            fresh.unlink(missing_ok=True)


def known(environment: Environment, clock: Clock = _CLOCK) -> Names:
    """What has a name in the fleet; without one, what this checkout could serve."""

    def ask() -> Any:
        if not _may_run(environment):
            raise Unasked
        return asdict(names_asking.names(environment))

    def other() -> Any:
        return asdict(names_asking.names_of_checkout(environment))

    told = Kept(environment, clock).get("names", _NAMES_S, ask, other)
    # Of another version it may have other fields.
    return Names(**{one.name: tuple(told.get(one.name, ())) for one in fields(Names)})


def methods_of(environment: Environment, service: str, clock: Clock = _CLOCK) -> dict[str, str]:
    """The methods of a service, with the first sentences of their comments."""

    def ask() -> Any:
        return names_asking.methods(environment, service, of_fleet=_may_run(environment))

    found = Kept(environment, clock).get(f"methods {service}", _CONTRACTS_S, ask, dict)
    return dict(found)


def fields_of(
    environment: Environment, service: str, method: str, clock: Clock = _CLOCK
) -> dict[str, Field]:
    """The flags of a method's request."""

    def ask() -> Any:
        found = names_asking.fields(environment, service, method, of_fleet=_may_run(environment))
        return {flag: asdict(field) for flag, field in found.items()}

    kept = Kept(environment, clock)
    found = kept.get(f"fields {service}/{method}", _CONTRACTS_S, ask, dict)
    return {flag: Field(one["comment"], tuple(one["values"])) for flag, one in found.items()}


def _may_run(environment: Environment) -> bool:
    """Whether there is somebody to ask: a look at files costs nothing."""
    return any((environment.home / name).exists() for name in ("machine.sock", "running.json"))


def _read(path: Path) -> dict[str, tuple[float, Any]]:
    try:
        told = json.loads(path.read_text())
        kept = {str(key): (float(at_s), value) for key, (at_s, value) in told.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    return {key: (at_s, value) for key, (at_s, value) in kept.items() if isinstance(value, dict)}
