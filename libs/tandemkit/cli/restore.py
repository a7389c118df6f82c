"""`tandem restore` and `tandem rollback`: a checkpoint comes back, is started and tried."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from tandem.control.v1 import checkpoint_pb2 as pb
from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1.traffic_policy_pb2 import ChangeNote
from tandemkit.cli import noting
from tandemkit.cli.absent import absent_of
from tandemkit.cli.boot import Asked as Planned
from tandemkit.cli.boot import prepared, wanted
from tandemkit.cli.harmless import one_line
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples, table
from tandemkit.cli.plan import DEFAULT_PROFILE, blueprint
from tandemkit.cli.readying import readied
from tandemkit.cli.restoring import Asked, Restored, Restoring
from tandemkit.cli.shelving import complete, refusals
from tandemkit.core.environment import Environment
from tandemkit.machine.checkpoints.building import build_of, differences, release_of
from tandemkit.machine.checkpoints.forgotten import forgotten_since
from tandemkit.machine.checkpoints.restoring import Restore
from tandemkit.machine.checkpoints.shelf import LAST_STABLE, Kept, NoSuchCheckpoint, Shelf
from tandemkit.machine.home import Home

_OPTIONS = (
    click.option("--yes", is_flag=True, help="End the fleet that runs, without asking."),
    click.option("--no-start", is_flag=True, help="Leave the home without a fleet afterwards."),
    click.option(
        "--profile", help="Run what this checkout plans (default: what the checkpoint ran)."
    ),
    click.option(
        "--smoke",
        multiple=True,
        metavar="'SERVICE/METHOD JSON'",
        help="Try this call too; it may be given again.",
    ),
    click.option(
        "--force", is_flag=True, help="Although another version of the code made the checkpoint."
    ),
    click.option(
        "--bring-back-deleted",
        is_flag=True,
        help="Although what was deleted for good since comes back.",
    ),
    noting.options,
    as_json,
)


@dataclass(frozen=True, slots=True)
class _Said:
    """What both commands are told by their options."""

    yes: bool
    no_start: bool
    bring_back_deleted: bool
    profile: str | None
    smoke: tuple[str, ...]
    note: ChangeNote
    as_json: bool


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command(
    short_help="Bring back what a checkpoint holds, and serve it.",
    epilog=examples(
        "./tandem restore last-stable --yes",
        './tandem restore before-the-move --smoke \'utility-toolbox/MeasureText {"text": "a"}\'',
        "./tandem restore before-the-move --no-start",
    ),
)
@click.argument("name", shell_complete=complete)
@_options
def restore(*, name: str, force: bool, **said: Any) -> int:
    """Put the state of checkpoint NAME (last-stable: the last that was verified) into the place of
    what is there, start the fleet layer by layer, and try it. What is there is kept as a checkpoint
    of its own, and ./tandem rollback --undo brings it back. Run it again if it was interrupted.
    """
    environment = Environment.read()
    home = prepared(environment, while_restoring=True)
    with refusals():
        kept = Shelf(home).kept(name)
    here = build_of(environment, kept.manifest.wanted)
    if release_of(kept.manifest.build) > release_of(here) and not force:
        message = f"{kept.name} is of kit {kept.manifest.build.kit}, which is newer than this one"
        raise Refusal(f"{message}, {here.kit}: take that checkout, or --force.", EXIT_NO)
    return _restored(environment, home, kept, _Said(**said))


@click.command(
    short_help="Go back to the last stable checkpoint, or undo the last restore.",
    epilog=examples(
        "./tandem rollback --yes          to the last stable checkpoint",
        "./tandem rollback --undo --yes   to what was there before the last restore",
    ),
)
@click.option("--undo", is_flag=True, help="To what was there before the last restore.")
@_options
def rollback(*, undo: bool, force: bool, **said: Any) -> int:
    """Restore the last checkpoint that was verified, with the plan and the settings that ran then.
    The code of this checkout stays as it is, so it has to be the one that ran then; --force takes
    it as it is.
    """
    environment = Environment.read()
    home = prepared(environment, while_restoring=True)
    with refusals():
        kept = _aside(home) if undo else Shelf(home).kept(LAST_STABLE)
    here = build_of(environment, kept.manifest.wanted)
    others = differences(kept.manifest.build, here)
    if others and not undo and not force:
        message = f"{kept.name} is of another version than this checkout: {'; '.join(others)}."
        way = "Check that version out and try again, or --force to run its state with this code."
        raise Refusal(f"{message} {way}", EXIT_NO)
    return _restored(environment, home, kept, _Said(**said))


def _aside(home: Home) -> Kept:
    """What was there before the last restore. An undo that was interrupted has kept aside what it
    undoes by then: it is gone on with, and not undone itself.
    """
    shelf, journal = Shelf(home), Restore(home).journal
    before = pb.CHECKPOINT_KIND_BEFORE_RESTORE
    kept = [one for one in shelf.all() if one.manifest.kind == before]
    if not kept:
        raise NoSuchCheckpoint("nothing was restored here yet", name="before-restore")
    if journal is not None and journal.aside == kept[-1].name:
        undone = shelf.kept(journal.checkpoint)
        return undone if undone.manifest.kind == before else kept[-1]
    return kept[-1]


def _restored(environment: Environment, home: Home, kept: Kept, said: _Said) -> int:
    if not said.bring_back_deleted:
        _check_forgotten(home, kept)
    if not said.yes and _runs(home):
        _confirm(home, kept)
    plan = None if said.no_start else _plan(environment, home, kept, said.profile)
    if plan is not None:
        environment = asyncio.run(readied(plan, environment, home))
    asked = Asked(kept.name, said.note, plan, said.smoke)
    with refusals(), Shelf(home).alone():
        done = asyncio.run(Restoring(environment, home, asked).run())
    others = differences(kept.manifest.build, build_of(environment, kept.manifest.wanted))
    value = value_of(done, others)
    emit(value, as_json=said.as_json, text=lambda: screen(done, others))
    return EXIT_NO if done.failed else 0


def _check_forgotten(home: Home, kept: Kept) -> None:
    """Nothing that was deleted for good comes back in silence."""
    with refusals():
        since = forgotten_since(home, kept.manifest)
    if since:
        count = f"{len(since)} deletion{'s' if len(since) > 1 else ''}"
        last = since[-1].time.ToJsonString()
        raise Refusal(
            f"{kept.name} was made before {count} ended (the last one {last}), so it would bring "
            "back what was deleted for good. Restore a later one; or --bring-back-deleted, and "
            "./tandem forget the same again behind it.",
            EXIT_NO,
        )


def _plan(
    environment: Environment, home: Home, kept: Kept, profile: str | None
) -> nouns.WantedMachine:
    with refusals():
        journal = Restore(home).half_done
    plan = nouns.WantedMachine()
    for said in (journal, kept.manifest) if profile is None else ():
        if said is not None and said.HasField("wanted"):
            plan.CopyFrom(said.wanted)
            return plan
    return wanted(blueprint(environment), Planned(profile or DEFAULT_PROFILE))


def _runs(home: Home) -> bool:
    return any(mark is not None and mark.look() for mark in (home.supervisor, home.keeper))


def _confirm(home: Home, kept: Kept) -> None:
    question = f"A fleet runs in {home.folder}. End it and restore {kept.name}?"
    if not sys.stdin.isatty():
        raise Refusal(f"a fleet runs in {home.folder}: --yes ends it, and restores {kept.name}.")
    click.confirm(question, abort=True, err=True)


def value_of(done: Restored, others: list[str]) -> dict[str, Any]:
    """For programs."""
    return {
        "restored": done.name,
        "aside": done.aside,
        "serving": done.machine is not None and not done.failed,
        "took_s": round(done.took_s, 3),
        "steps": [{"step": name, "took_s": round(took_s, 3)} for name, took_s in done.steps],
        "trials": [{"trial": one.name, "failed": one.failed} for one in done.trials],
        "absent": absent_of(done.machine.absent if done.machine else ()),
        "other_versions": others,
        "unrecorded": done.unrecorded,
    }


def screen(done: Restored, others: list[str]) -> str:
    """For people: the steps, what is wrong, and the verdict."""
    lines = [table([(name, f"{took_s:.1f} s") for name, took_s in done.steps])]
    lines += [one_line(f"FAILED: {one.name}: {one.failed}") for one in done.failed]
    absent = done.machine.absent if done.machine else ()
    lines += [one_line(f"ABSENT: {one.name}: {one.why}.") for one in absent]
    lines += [f"made by another version: {one}" for one in others]
    passed = len(done.trials) - len(done.failed)
    if done.machine is None:
        lines.append(f"{done.name} is restored in {done.took_s:.1f} s; ./tandem up starts it")
    elif done.failed:
        lines.append(f"{done.name} is restored in {done.took_s:.1f} s, and not all of it serves")
    else:
        tried = f"{passed} of {len(done.trials)} smoke tests passed"
        lines.append(f"{done.name} is restored and serves, in {done.took_s:.1f} s; {tried}")
    if done.aside:
        lines.append(f"{done.aside} holds what was there; ./tandem rollback --undo brings it back")
    if done.unrecorded:
        lines.append(f"no event tells of it: {done.unrecorded}")
    return "\n".join(lines)
