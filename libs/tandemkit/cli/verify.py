"""`tandem verify`: whether a checkpoint, or what stands in the home now, is what it should be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import click

from tandemkit.cli.harmless import one_line
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples
from tandemkit.cli.shelving import complete, in_thread, reads, refusals, verified
from tandemkit.core.clock import stopwatch_s
from tandemkit.core.environment import Environment
from tandemkit.machine.checkpoints.belongings import belongings
from tandemkit.machine.checkpoints.checking import Checker, Fault
from tandemkit.machine.checkpoints.shelf import ManifestDamaged, Shelf
from tandemkit.machine.home import Home


@click.command(
    short_help="Prove a checkpoint, or the home as it is now.",
    epilog=examples(
        "./tandem verify                  the home, whether or not a fleet runs in it",
        "./tandem verify last-stable",
        "./tandem verify before-the-move --json | jq .faults",
    ),
)
@click.argument("name", required=False, shell_complete=complete)
@as_json
def verify(*, name: str | None, as_json: bool) -> int:
    """Compare every file of checkpoint NAME with its sum, and check each database: its structure,
    its keys, every message of a known schema, and the chain of events. Without NAME the same of
    the home, which has no sums. What is wrong is named; exits 1 then.
    """
    environment = Environment.read()
    home = Home(environment.home)
    began_s = stopwatch_s()
    with refusals():
        what, count, faults = asyncio.run(_looked_at(home, name))
    took_s = stopwatch_s() - began_s
    value = {
        "verified": what,
        "sound": not faults,
        "files": count,
        "faults": [{"file": one.file, "what": one.what} for one in faults],
        "took_s": round(took_s, 3),
    }
    emit(value, as_json=as_json, text=lambda: _text(what, count, faults, took_s))
    return EXIT_NO if faults else 0


async def _looked_at(home: Home, name: str | None) -> tuple[str, int, list[Fault]]:
    if name is None:
        if not home.state.is_dir():
            raise Refusal(f"there is no fleet in {home.folder}, and none was.", EXIT_NO)
        return str(home.folder), len(belongings(home).held), await _of_home(home)
    try:
        kept = Shelf(home).kept(name)
    except ManifestDamaged as error:
        return name, 0, [Fault(error.metadata["file"], error.message)]
    return kept.name, len(kept.manifest.files), await verified(kept)


async def _of_home(home: Home) -> list[Fault]:
    def check(tell: Callable[[str], None]) -> list[Fault]:
        return list(Checker(reads(Environment.read()), tell).home(home))

    return await in_thread("verifying the home", check)


def _text(what: str, count: int, faults: list[Fault], took_s: float) -> str:
    lines = [one_line(f"{one.file}: {one.what}") for one in faults]
    verdict = f"{len(faults)} faults in {what}" if faults else f"{what} is sound"
    return "\n".join([*lines, f"{verdict}; {count} files in {took_s:.1f} s"])
