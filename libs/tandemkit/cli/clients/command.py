"""`tandem clients`: a package with which a program in another language calls the agents."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import click

from tandemkit.cli.checkout import cache_of, root_of
from tandemkit.cli.clients import contracts, package
from tandemkit.cli.clients.languages import LANGUAGES, Order, Workplace
from tandemkit.cli.clients.sample import sample_of
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples
from tandemkit.cli.steps import StepFailure, Steps
from tandemkit.core.environment import Environment


@click.command(
    short_help="Write a client package for another language.",
    epilog=examples(
        "./tandem clients go ../tandem-go",
        "./tandem clients node ../tandem-node --services utility-toolbox,utility-files",
        "./tandem clients rust ../tandem-rust --name fleet --json",
    ),
)
@click.argument("language", type=click.Choice(list(LANGUAGES)))
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--services",
    metavar="AGENT[,AGENT...]",
    multiple=True,
    help="Short or full names of the agents that it is to call. All of them by default.",
)
@click.option("--name", help="The package's own name: of the Go module, the npm package, ...")
@click.option("--force", is_flag=True, help="Write into DIR even if other things are in it.")
@as_json
def clients(*, language: str, folder: Path, force: bool, as_json: bool, **asked: Any) -> None:
    """Write a client package for LANGUAGE into DIR: the contracts, how to dial, and an example.

    It builds with the language's ordinary tools. Written again, it is brought up to date: what
    did not change keeps its time, and what your build made there stays. Only Go's stubs are
    written by programs of the language itself, so only `go` needs its toolchain here.
    """
    environment = Environment.read()
    kind = LANGUAGES[language]
    name = asked["name"] or kind.default_name
    if re.fullmatch(kind.name_form, name) is None:
        raise Refusal(f"{name!r} is no name for a package of {language}.")
    package.check_ours(folder, language, force=force)
    agents = [one.strip() for said in asked["services"] for one in said.split(",") if one.strip()]
    try:
        order, files = asyncio.run(_made(environment, language, name, agents))
    except StepFailure as failure:
        raise Refusal(f"{failure.step} failed: {failure.reason}", EXIT_NO) from failure
    about = {"language": language, "name": name, "version": order.version}
    services = order.contracts.services
    written = package.write(folder, files, {**about, "services": services})
    value = {
        **about,
        "folder": str(folder.absolute()),
        "services": services,
        "files": written.total,
        "changed": list(written.changed),
        "removed": list(written.removed),
        "try_it": kind.try_it,
    }
    emit(value, as_json=as_json, text=lambda: _said(folder, written, services, kind.try_it))


def _said(folder: Path, written: package.Written, services: list[str], try_it: str) -> str:
    changed = len(written.changed) + len(written.removed)
    agents = f"{len(services)} agent{'' if len(services) == 1 else 's'}"
    counts = f"{written.total} files for {agents}, {changed} changed"
    return f"{folder}: {counts}.\n\nTry it:\n  cd {shlex.quote(str(folder))}\n  {try_it}"


async def _made(
    environment: Environment, language: str, name: str, wanted: list[str]
) -> tuple[Order, dict[str, bytes]]:
    root, cache = root_of(environment), cache_of(environment)
    steps = Steps(sys.stderr, cache)
    with tempfile.TemporaryDirectory(dir=cache, prefix="clients-") as scratch:
        found = await contracts.read(root, Path(scratch), wanted, steps)
        order = Order(name, _version(root), found, sample_of(found))
        workplace = Workplace(environment, Path(scratch), steps)
        return order, await LANGUAGES[language].make(order, workplace)


def _version(root: Path) -> str:
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    return str(project["project"]["version"])
