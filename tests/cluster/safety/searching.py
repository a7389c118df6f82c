"""Where a secret of a fleet can be read by somebody who was not given it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path

from tandemkit.testing.spans import Collector
from tests.cluster.eventually import eventually
from tests.cluster.safety.spilling_fleet import METHOD, NAME, Spilled

# What a call that is to be recorded comes with.
TRACED = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
_ANSWER_S = 5.0
_COMMANDS = (
    ("status", "--json"),
    ("plan", "--json"),
    ("agents", "--json"),
    ("events", "--json"),
    ("logs", "agents"),
    ("secret", "list"),
    ("secret", "check", "--json"),
)


async def spill(fleet: Spilled, prelude: str = "which") -> dict[str, str]:
    """The agent tells its secret to all that listen; returns what callers were told. It is ill
    afterwards. Each of its lives begins with the prelude.
    """
    said = {}
    await fleet.does(prelude)
    for deed in ("log", "refuse", "break"):
        call = ("call", METHOD, json.dumps({"text": deed}), "-H", TRACED)
        done = await fleet.tandem(*call)
        said[f"call {deed}"] = done.stdout + done.stderr
    await fleet.does("fail")
    await eventually(lambda: _failures(fleet))
    await eventually(lambda: _can(fleet, prelude))
    await _can(fleet, "ail")
    await eventually(lambda: _is_ill(fleet))
    return said


class Search:
    """For values, as they are and as JSON writes them."""

    def __init__(self, *values: str) -> None:
        self._needles = {one for value in values for one in (value, json.dumps(value)[1:-1])}

    async def places(
        self, fleet: Spilled, said: Mapping[str, str] | None = None, spans: Collector | None = None
    ) -> set[str]:
        """Each that holds one of them, by its kind."""
        found = {"callers" for text in (said or {}).values() if self._is_in(text)}
        for arguments in _COMMANDS:
            done = await fleet.tandem(*arguments)
            if self._is_in(done.stdout + done.stderr):
                found.add(f"tandem {arguments[0]}")
        for host, address in (await _http_addresses(fleet)).items():
            for page in ("health", "metrics", f"health/{NAME}", "health/hosts"):
                if self._is_in(await asyncio.to_thread(_fetched, address, page)):
                    found.add(f"/{page} of {host}")
        if spans is not None and self._is_in(json.dumps(spans.batches)):
            found.add("spans")
        found |= await asyncio.to_thread(set, self._on_disk(fleet.folder))
        return found | await asyncio.to_thread(set, self._of_processes())

    def _is_in(self, text: str) -> bool:
        return any(one in text for one in self._needles)

    def _on_disk(self, folder: Path) -> Iterator[str]:
        """State, logs, plans, the registry, outboxes, and what a crash left."""
        cores = [path for path in Path.cwd().glob("core*") if path.is_file()]
        for path in [*folder.rglob("*"), *cores]:
            if path.is_file() and self._is_in(path.read_bytes().decode(errors="replace")):
                yield f"file {path.name}"

    def _of_processes(self) -> Iterator[str]:
        """Of all that run, not of ours alone: also what ours have started."""
        for process in Path("/proc").glob("[0-9]*"):
            for name in ("environ", "cmdline", "comm"):
                try:
                    content = (process / name).read_bytes()
                except OSError:
                    continue
                if self._is_in(content.decode(errors="replace")):
                    yield f"/proc/{name}"


async def _http_addresses(fleet: Spilled) -> dict[str, str]:
    # It says no where somebody does not serve.
    told = json.loads((await fleet.tandem("status", "--json")).stdout)
    hosts = [host for machine in told["machines"] for host in machine["hosts"]]
    return {str(host["host"]): str(host["http_address"]) for host in hosts}


def _fetched(address: str, page: str) -> str:
    """Also what an ill one answers."""
    connection = HTTPConnection(address, timeout=_ANSWER_S)
    try:
        connection.request("GET", f"/{page}")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


async def _failures(fleet: Spilled) -> bool:
    done = await fleet.tandem("events", "--json")
    return "tandem.control.v1.ChildEvent" in done.stdout


async def _can(fleet: Spilled, deed: str) -> bool:
    done = await fleet.tandem("call", METHOD, json.dumps({"text": deed}))
    return done.returncode == 0


async def _is_ill(fleet: Spilled) -> bool:
    done = await fleet.tandem("status", "--json")
    return "it is ill" in done.stdout
