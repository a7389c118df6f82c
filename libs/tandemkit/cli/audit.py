"""`tandem audit`: what in a tree of sources keeps it from running well in a fleet."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from tandemkit.audit.allowances import BadAllowance, allowances, held
from tandemkit.audit.checks import SUMMARIES, checks
from tandemkit.audit.finding import Finding
from tandemkit.audit.sources import Sources, Unread
from tandemkit.cli.audit_renaming import rename
from tandemkit.cli.harmless import one_line
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples, table

_SHOWN_EVERY = 50


@click.command(
    short_help="Look for what a tree of sources should leave to the platform.",
    epilog=examples(
        "./tandem audit                       this checkout, where there is nothing to find",
        "./tandem audit ../agents --check spawn --check transport",
        "./tandem audit ../agents --report found   a list each, as found/custom_health_loops.txt",
        "./tandem audit ../agents --json > known.json   what is known today, and",
        "./tandem audit ../agents --known known.json    what came since",
        "./tandem audit ../agents --rename common.pools.zmq_pool=agents.pool --write",
    ),
)
@click.argument("tree", type=click.Path(exists=True, path_type=Path), default=Path())
@click.option(
    "--check", "asked", multiple=True, type=click.Choice(list(SUMMARIES)), help="Only this one."
)
@click.option("--report", type=click.Path(path_type=Path), help="Folder for a list of each check.")
@click.option(
    "--known",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What an earlier --json printed: its findings are not told again.",
)
@click.option("--rename", "renamed", multiple=True, metavar="OLD=NEW", help="Move a module.")
@click.option("--write", is_flag=True, help="With --rename: write it, instead of showing it.")
@as_json
def audit(*, tree: Path, as_json: bool, **said: Any) -> int:
    """Look into TREE, a folder or a file, for health loops, direct transports, written addresses,
    naked spawns and secrets. Nothing of it is imported or run, and a secret is never repeated.

    Exits 0 when there is nothing, 1 with findings. What a tree allows itself stands in its
    pyproject.toml under [[tool.tandem.audit.allow]], with check, paths and why.
    """
    if said["renamed"]:
        return rename(tree, said["renamed"], write=said["write"], as_json=as_json)
    if said["write"]:
        raise Refusal("--write goes with --rename")
    names = said["asked"] or tuple(SUMMARIES)
    found, unread = _looked(tree, names)
    if said["known"]:
        found = _new(found, _read_known(said["known"]))
    if said["report"]:
        _write_report(said["report"], names, found)
    value = {
        "ok": not found,
        "findings": [asdict(one) for one in found],
        "unread": [asdict(one) for one in unread],
    }
    emit(value, as_json=as_json, text=lambda: _text(names, found, unread))
    return EXIT_NO if found else 0


def _looked(tree: Path, names: Iterable[str]) -> tuple[list[Finding], list[Unread]]:
    try:
        allowed = allowances(tree)
    except BadAllowance as error:
        raise Refusal(str(error)) from error
    sources = Sources(tree)
    with checks(names) as looking:
        findings = [
            finding for source in sources.each(_told()) for finding in looking.findings(source)
        ]
    return sorted(held(findings, allowed)), sources.unread


def _told() -> Callable[[int, int], None]:
    """How far it is, where somebody looks."""

    def tell(number: int, of: int) -> None:
        if number % _SHOWN_EVERY == 0 or number == of:
            end = "\r\x1b[K" if number == of else ""
            sys.stderr.write(f"\rlooked into {number} of {of} files{end}")
            sys.stderr.flush()

    return tell if sys.stderr.isatty() else lambda _number, _of: None


def _read_known(path: Path) -> Counter[tuple[str, str, str]]:
    try:
        entries = json.loads(path.read_text("utf-8"))["findings"]
        return Counter((one["path"], one["rule"], one["message"]) for one in entries)
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(f"{path} is nothing that ./tandem audit --json printed") from error


def _new(found: Iterable[Finding], known: Counter[tuple[str, str, str]]) -> list[Finding]:
    """Lines move, so a finding is known by its file and what it says, as often as it was there."""
    new = []
    for one in found:
        key = (one.path, one.rule, one.message)
        if known[key] > 0:
            known[key] -= 1
        else:
            new.append(one)
    return new


def _write_report(folder: Path, names: Iterable[str], found: Iterable[Finding]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    findings = list(found)
    for name in names:
        lines = [f"{one.path}:{one.line}: {one.message}\n" for one in findings if one.rule == name]
        prefix = "custom_" if name == "health-loop" else ""
        path = folder / f"{prefix}{name.replace('-', '_')}s.txt"
        path.write_text("".join(lines), "utf-8")


def _text(names: Iterable[str], found: list[Finding], unread: list[Unread]) -> str:
    lines = [one_line(str(one)) for one in found]
    lines += [one_line(f"{one.path}: not looked into: {one.why}") for one in unread]
    counts: Counter[str] = Counter(one.rule for one in found)
    rows: list[tuple[Any, ...]] = [(name, str(counts[name]), SUMMARIES[name]) for name in names]
    return "\n".join([*lines, *([""] if lines else []), table(rows)])
