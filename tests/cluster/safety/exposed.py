"""A fleet with every face that one can have, where anybody of the machine may come by."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from tandemkit.core.token import FILE_NAME, Token
from tandemkit.hosting.edge import EdgePlace, edge
from tandemkit.mesh.bootstrap import Node
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.testing.parts import demand, fetch, free_ports, short_folder
from tests.cluster import control_host
from tests.cluster.mesh import trial_host

MACHINE = "mainpc"
_STARTED = re.compile(rb'\ngrpc_server_call_started_total\{grpc_method="([^"]+)"\} (\d+)')


@dataclass
class Exposed:
    """`home` is its TANDEM_HOME, below a folder that everybody may enter."""

    home: Path
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)

    @property
    def token(self) -> Token:
        return Token(self.home / FILE_NAME)

    @property
    def secret(self) -> str:
        return self.token.bearer.partition(" ")[2]

    async def calls(self) -> dict[str, int]:
        """How often each method of the host's agents was called, by its own figures."""
        told = await fetch(f"http://127.0.0.1:{self.ports['host http']}/metrics")
        return {method.decode(): int(count) for method, count in _STARTED.findall(told)}


@asynccontextmanager
async def exposed() -> AsyncIterator[Exposed]:
    """A control, a host that it knows, both with HTTP, and an edge in front of them. Its home was
    there before, and everybody may look into it.
    """
    envoy = demand("envoy")["envoy"]
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(short_folder())
        it = Exposed(folder / "home")
        it.home.mkdir()
        for path in (folder, it.home):
            path.chmod(0o755)
        names = ("control", "control http", "host", "host http")
        it.ports = dict(zip(names, free_ports(len(names)), strict=True))
        control = f"127.0.0.1:{it.ports['control']}"
        for name, module in (("control", control_host), ("host", trial_host)):
            await stack.enter_async_context(_started(it, name, module, control))
        place = EdgePlace(envoy, it.home / "edge.log", Node("edge", MACHINE), (control,))
        running = await stack.enter_async_context(edge(place))
        it.ports["edge"] = running.port
        yield it


@asynccontextmanager
async def _started(it: Exposed, name: str, module: ModuleType, control: str) -> AsyncIterator[None]:
    ports = it.ports
    where = ("--listen", f"127.0.0.1:{ports[name]}", "--http", f"127.0.0.1:{ports[f'{name} http']}")
    member = ("--control", control, "--machine", MACHINE, "--host-name", name, "--group", name)
    argv = (sys.executable, "-m", module.__name__, *where, *member)
    known = {"PYTHONPATH": os.pathsep.join(sys.path), "TANDEM_HOME": str(it.home)}
    command = Command(argv, it.home.parent / f"{name}.log", env=known)

    async def announced() -> None:
        assert "host.announced" in command.log_path.read_text()

    async with supervised_process(command, ready=announced) as process:
        it.processes[name] = process
        yield


def files_below(folder: Path) -> Iterator[Path]:
    """All that are no folders."""
    yield from sorted(path for path in folder.rglob("*") if not path.is_dir())
