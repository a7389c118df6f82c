"""Go's stubs are written here, for a Go build runs no generator. Their makers are Go programs,
built once into the cache from the versions and hashes of `templates/go_plugins`.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from pathlib import Path, PurePosixPath

from tandemkit.cli.checkout import cache_of
from tandemkit.cli.clients.contracts import Contracts
from tandemkit.cli.clients.templates import filled
from tandemkit.cli.locks import alone
from tandemkit.cli.pinned import fresh_folder
from tandemkit.cli.steps import Step, Steps
from tandemkit.cli.tools import GO_BUILD, go_program
from tandemkit.core.environment import Environment

_MAKERS = {"go": "protoc-gen-go", "go-grpc": "protoc-gen-go-grpc"}


async def generate(
    contracts: Contracts, module: str, environment: Environment, scratch: Path, steps: Steps
) -> dict[str, bytes]:
    """Messages and stubs of all contracts, as packages of `module`."""
    makers = await _makers(environment, steps)
    compiled, out = scratch / "go.binpb", scratch / "go"
    compiled.write_bytes(contracts.compiled.SerializeToString())
    out.mkdir()
    options = [f"module={module}"]
    options += [f"M{path}={_import_path(module, path)}" for path in contracts.paths]
    argv = [sys.executable, "-m", "grpc_tools.protoc", f"--descriptor_set_in={compiled}"]
    for kind, maker in _MAKERS.items():
        argv += [f"--plugin={maker}={makers / maker}", f"--{kind}_out={out}"]
        argv += [f"--{kind}_opt={option}" for option in options]
    variables = {**environment.variables, "PYTHONPATH": ":".join(sys.path)}
    await steps.run(Step("writing Go", (*argv, *contracts.paths), variables, scratch))
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.go"))}


def _import_path(module: str, proto: str) -> str:
    """`MODULE/tandem/text/v1;textv1`: by its last part alone every package would be called v1."""
    folder = PurePosixPath(proto).parent
    return f"{module}/{folder};{''.join(folder.parts[1:])}"


async def _makers(environment: Environment, steps: Steps) -> Path:
    source = filled("go_plugins", {})
    digest = hashlib.sha256(b"".join(source.values())).hexdigest()[:16]
    home = cache_of(environment) / "clients" / f"go-{digest}"
    if home.exists():
        return home
    waiting = functools.partial(steps.say, "another run builds what writes Go; waiting for it")
    async with alone(home.with_suffix(".lock"), waiting) as lock:
        if not home.exists():
            await _build(source, home, environment, steps.holding(lock))
    return home


async def _build(
    source: dict[str, bytes], home: Path, environment: Environment, steps: Steps
) -> None:
    go = go_program(environment)
    variables = {**environment.variables, "CGO_ENABLED": "0"}
    with fresh_folder(home) as folder:
        for name, content in source.items():
            (folder / name).write_bytes(content)
        argv = (go, "build", *GO_BUILD, "-o", f"{folder}/", "tool")
        await steps.run(Step("building what writes Go, once", argv, variables, folder))
