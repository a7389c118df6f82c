"""`tandem checkpoint`: what must come back is kept; and what is kept is listed, shown, deleted."""

from __future__ import annotations

import asyncio
from datetime import UTC
from typing import Any

import click
from google.protobuf import json_format

from tandem.control.v1 import checkpoint_pb2 as pb
from tandem.control.v1.traffic_policy_pb2 import ChangeNote
from tandemkit.cli import noting
from tandemkit.cli.boot import check_whole
from tandemkit.cli.checkpointing import Made, checkpointed
from tandemkit.cli.image_pool import Pools
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples, table
from tandemkit.cli.shelving import complete, name_now, refusals, size_text
from tandemkit.core.environment import Environment
from tandemkit.machine.checkpoints.building import build_of, deployed
from tandemkit.machine.checkpoints.filling import Wish
from tandemkit.machine.checkpoints.restoring import Restore
from tandemkit.machine.checkpoints.servers import exports_of
from tandemkit.machine.checkpoints.shelf import Kept, NoSuchCheckpoint, Shelf
from tandemkit.machine.home import Home

KINDS = {
    pb.CHECKPOINT_KIND_ASKED: "asked",
    pb.CHECKPOINT_KIND_BEFORE_DEPLOYMENT: "before-deployment",
    pb.CHECKPOINT_KIND_BEFORE_RESTORE: "before-restore",
}
_TAKE = "take"


class _NamedOrCommand(click.Group):
    """`checkpoint NAME` is short for `checkpoint take NAME`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = next((one for one in args if not one.startswith("-")), None)
        if first not in self.commands and not {"-h", "--help"} & set(args):
            args = [_TAKE, *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=_NamedOrCommand,
    short_help="Keep all that must come back; list and delete what was kept.",
    epilog=examples(
        "./tandem checkpoint                       named by the time",
        "./tandem checkpoint before-the-move --reason 'a new disk'",
        "./tandem checkpoint --compress --keep 7   of those that were asked for, seven stay",
        "./tandem checkpoint list",
        "./tandem checkpoint show last-stable --json | jq .files",
        "./tandem checkpoint delete before-the-move",
    ),
)
def checkpoint() -> None:
    """Keep the state of all agents, policies, configuration, events, and what runs, as of one
    moment; the fleet goes on meanwhile. `./tandem checkpoint NAME` makes one.

    ./tandem verify proves it, ./tandem restore brings it back.
    """


@checkpoint.command(
    name=_TAKE,
    short_help="Make one; the word may be left out.",
    epilog=examples("./tandem checkpoint before-the-move", "./tandem checkpoint --json"),
)
@click.argument("name", required=False)
@click.option("--compress", is_flag=True, help="By gzip: smaller, and slower to restore.")
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    help="Delete older ones that were asked for: so many stay.",
)
@noting.options
@as_json
def take(
    *, name: str | None, compress: bool, keep: int | None, note: ChangeNote, as_json: bool
) -> None:
    """Make a checkpoint NAME (default: the time), and verify it."""
    environment = Environment.read()
    home = Home(environment.home)
    if not home.state.is_dir():
        raise Refusal(f"there is no fleet in {home.folder}, and none was.", EXIT_NO)
    check_whole(home)
    shelf, wanted = Shelf(home), home.wanted
    wish = Wish(
        name or name_now(shelf),
        pb.CHECKPOINT_KIND_ASKED,
        note,
        deployed(home) or build_of(environment, wanted),
        wanted,
        compress=compress,
        exports=exports_of(wanted),
    )
    with refusals(), shelf.alone():
        done = asyncio.run(checkpointed(home, wish, keep))
    value = {**value_of(done.kept), "took_s": round(done.took_s, 3), "deleted": done.deleted}
    value["unrecorded"] = done.unrecorded
    emit(value, as_json=as_json, text=lambda: _taken_text(done))
    if not done.kept.verified_at:
        message = f"{done.kept.name} does not verify; ./tandem verify {done.kept.name} says why."
        raise Refusal(message, EXIT_NO)


@checkpoint.command(
    name="list",
    short_help="List what is kept, the oldest first.",
    epilog=examples("./tandem checkpoint list", "./tandem checkpoint list --json"),
)
@as_json
def list_(*, as_json: bool) -> None:
    """List the checkpoints of this home. One is stable once it was verified."""
    shelf = Shelf(Home(Environment.read().home))
    kept = shelf.all()
    unread = sorted(set(shelf.names()) - {one.name for one in kept})
    value = {"checkpoints": [value_of(one) for one in kept], "damaged": unread}
    emit(value, as_json=as_json, text=lambda: _listed(kept, unread))


@checkpoint.command(
    short_help="Show what one holds.",
    epilog=examples("./tandem checkpoint show last-stable", "./tandem checkpoint show NAME --json"),
)
@click.argument("name", shell_complete=complete)
@as_json
def show(*, name: str, as_json: bool) -> None:
    """Show what NAME holds; with --json its whole manifest. NAME may be last-stable."""
    environment = Environment.read()
    with refusals():
        kept = Shelf(Home(environment.home)).kept(name)
    value = _manifest_value(kept.manifest, environment)
    emit(value, as_json=as_json, text=lambda: _shown(kept))


@checkpoint.command(
    short_help="Delete some.",
    epilog=examples("./tandem checkpoint delete before-the-move 20261121-232500"),
)
@click.argument("names", nargs=-1, required=True, shell_complete=complete)
@click.option("--yes", is_flag=True, help="Also the last stable one.")
@as_json
def delete(*, names: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Delete checkpoints NAMES. The last stable one only with --yes."""
    home = Home(Environment.read().home)
    shelf = Shelf(home)
    with refusals():
        half_done = Restore(home).half_done
    if half_done and {half_done.checkpoint, half_done.aside} & set(names):
        # Without them nothing could ever end it.
        check_whole(home)
    with refusals(), shelf.alone():
        last = [one.name for one in shelf.all() if one.is_stable][-1:]
        if not yes and set(last) & set(names):
            message = f"{last[0]} is the last stable one: --yes deletes it all the same."
            raise Refusal(message)
        for name in names:
            if name not in shelf.names():
                raise NoSuchCheckpoint("there is no checkpoint of that name", name=name)
        for name in names:
            shelf.delete(name)
    emit({"deleted": list(names)}, as_json=as_json, text=lambda: f"deleted {', '.join(names)}")


def value_of(kept: Kept) -> dict[str, Any]:
    """For --json: all but its files."""
    manifest = kept.manifest
    return {
        "name": kept.name,
        "kind": KINDS.get(manifest.kind, ""),
        "time": manifest.time.ToJsonString(),
        "stable": kept.is_stable,
        "verified_at": kept.verified_at,
        "files": len(manifest.files),
        "bytes": kept.size,
        "events_position": manifest.events.position,
        "pause_s": manifest.pause.ToNanoseconds() / 1e9,
        "machine": manifest.machine,
        "profile": manifest.wanted.plan.profile,
        "kit": manifest.build.kit,
        "author": manifest.note.author,
        "reason": manifest.note.reason,
        "folder": str(kept.folder),
    }


def _manifest_value(manifest: pb.Checkpoint, environment: Environment) -> Any:
    """Settings of agents are of types that this process may never have heard of."""
    pools: Any = Pools(pb.DESCRIPTOR.pool, environment)
    pools.close_unknown(manifest)
    return json_format.MessageToDict(
        manifest, preserving_proto_field_name=True, descriptor_pool=pools
    )


def _taken_text(done: Made) -> str:
    kept = done.kept
    held = f"{len(kept.manifest.files)} files, {size_text(kept.size)}"
    pause_ms = kept.manifest.pause.ToNanoseconds() / 1e6
    took = f"{done.took_s:.1f} s, of which writers waited {pause_ms:.1f} ms"
    lines = [
        f"{kept.name}: {held}, events up to {kept.manifest.events.position}; {took}",
        f"./tandem restore {kept.name} brings it back",
    ]
    lines += [f"not held: {one.why}" for one in kept.manifest.omissions if not one.path]
    if done.deleted:
        lines.append(f"deleted {', '.join(done.deleted)}")
    if done.unrecorded:
        lines.append(f"no event tells of it: {done.unrecorded}")
    return "\n".join(lines)


def _listed(kept: list[Kept], unread: list[str]) -> str:
    header = ("NAME", "TIME", "KIND", "SIZE", "EVENTS", "STABLE", "WHY")
    rows = [
        (
            one.name,
            f"{one.manifest.time.ToDatetime(tzinfo=UTC).astimezone():%m-%d %H:%M:%S}",
            KINDS.get(one.manifest.kind, ""),
            size_text(one.size),
            str(one.manifest.events.position),
            "yes" if one.is_stable else "",
            one.manifest.note.reason,
        )
        for one in kept
    ]
    lines = [table([header, *rows])] if rows else ["no checkpoint; ./tandem checkpoint makes one"]
    lines += [f"{name} is damaged: ./tandem verify {name}" for name in unread]
    return "\n".join(lines)


def _shown(kept: Kept) -> str:
    manifest = kept.manifest
    value = value_of(kept)
    lines = [f"{name}: {value[name]}" for name in value if value[name] not in {"", None}]
    lines += [f"  {one.path}  {size_text(one.size)}" for one in manifest.files if one.size]
    lines += [f"  not {one.path or 'held'}: {one.why}" for one in manifest.omissions]
    return "\n".join(lines)
