"""Every check of an audit, once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tandemkit.audit import health_loops, hosts, spawns, transports
from tandemkit.audit.finding import Finding
from tandemkit.audit.secrets import detectors
from tandemkit.audit.sources import Source
from tandemkit.audit.syntax import Module

Places = Iterable[tuple[int, str]]
Looking = Callable[[Source], Places]
# The name of each check, with what it looks for.
SUMMARIES = {
    "health-loop": "loops that look after health by hand",
    "transport": "sockets, channels and HTTP clients that pass by the mesh",
    "host": "addresses written into sources",
    "spawn": "tasks, threads and processes that nobody supervises",
    "secret": "passwords, keys and tokens",
}


_ADVICE = {
    "health-loop": "`{found}` looks after health by hand; the kit does: `scope.ready_when`",
    "transport": "`{found}` passes by the mesh; call the agent by `scope.stub`",
    "host": "`{found}` is written down here; have the registry find it, or the fleet file name it",
    "spawn": "`{found}` is supervised by nobody; use `scope.spawn` or `scope.workers`",
    "secret": "{found} in a source; make it a secret of the fleet, and change it, for it was told",
}


@dataclass(frozen=True, slots=True)
class Checks:
    """Those that were asked for, ready to look."""

    _looking: dict[str, Looking]

    def findings(self, source: Source) -> Iterator[Finding]:
        """What they find in one file."""
        for name, look in self._looking.items():
            for line, found in look(source):
                yield Finding(source.path, line, name, _ADVICE[name].format(found=found))


@contextmanager
def checks(names: Iterable[str]) -> Iterator[Checks]:
    """Those of these names, in the order of `SUMMARIES`."""
    with detectors() as detecting:
        looking: dict[str, Looking] = {
            "health-loop": _in_python(health_loops.loops),
            "transport": _in_python(transports.connections),
            "host": hosts.addresses,
            "spawn": _in_python(spawns.starts),
            "secret": detecting.secrets,
        }
        asked = frozenset(names)
        yield Checks({name: look for name, look in looking.items() if name in asked})


def _in_python(look: Callable[[Module], Places]) -> Looking:
    return lambda source: look(source.module) if source.module is not None else ()
