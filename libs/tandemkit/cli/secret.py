"""`tandem secret`: which secrets agents need, who has them, and a new one in place of an old one.
No value is ever shown.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from tandem.control.v1 import machine_pb2 as nouns
from tandemkit.cli.boot import Asked, wanted
from tandemkit.cli.moments import rough
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples, near, table
from tandemkit.cli.plan import DEFAULT_PROFILE, blueprint
from tandemkit.cli.secret_taking import Taking
from tandemkit.core.clock import SystemClock
from tandemkit.core.environment import Environment
from tandemkit.core.errors import Failure
from tandemkit.core.redaction import CHARS_MIN, DIGITS_MIN, can_be_hidden
from tandemkit.core.secret import Secret
from tandemkit.machine.home import Home
from tandemkit.machine.orders import planned_machine
from tandemkit.secrecy import files
from tandemkit.secrecy.chain import Search
from tandemkit.secrecy.place import Place

_CLOCK = SystemClock()
# The supervisor looks every second, and Vault may take its time.
_ARRIVES_S, _LOOK_S = 6.0, 0.1
_HEADER = ("secret", "provider", "version", "age", "needed by")
_profile = click.option(
    "--profile", default="", help=f"Of which plan (default: what runs, else {DEFAULT_PROFILE})."
)


@click.group(
    short_help="List, check and change the secrets that agents need.",
    epilog=examples(
        "./tandem secret list",
        "./tandem secret check --profile mainpc",
        "./tandem secret rotate openai_api_key < new-key",
        "./tandem secret list --json | jq -r '.missing[]'",
    ),
)
def secret() -> None:
    """Say which secrets agents need and who has them, and put new ones in place while all runs."""


@secret.command("list", short_help="Say which secrets the fleet has, and from whom.")
@as_json
def list_(*, as_json: bool) -> None:
    """List the secrets of the fleet that runs in this home: provider, version, age, who needs them.
    Exits 1 where a required one is missing.
    """
    home = Home(Environment.read().home)
    running = home.wanted
    if running is None:
        raise Refusal("nothing runs here; ./tandem secret check asks the providers.", EXIT_NO)
    account, needs = home.secrets.account, _needs(running)
    known = account.get("secrets", {})
    missing = [name for name, need in needs.items() if need["required"] and name not in known]
    value = {
        "secrets": [
            {"name": name, **need, **known.get(name, _ABSENT)} for name, need in needs.items()
        ],
        "missing": missing,
        "troubles": account.get("troubles", []),
    }
    emit(value, as_json=as_json, text=lambda: _screen(value))
    if missing:
        raise click.exceptions.Exit(EXIT_NO)


@secret.command(short_help="Ask all providers for what a plan needs.")
@_profile
@as_json
def check(*, profile: str, as_json: bool) -> None:
    """Ask the providers now for all secrets that the plan's agents need, this shell's environment
    last. Exits 1 where a required one is missing, and says which stanza asks for it.
    """
    environment = Environment.read()
    home = Home(environment.home)
    taking, plan = _taken(environment, home, profile)
    search = asyncio.run(taking.search(home))
    mistakes = [str(one) for one in sorted(taking.missing(search))]
    value = {
        "secrets": [
            {"name": name, **need, **_told(search, name)} for name, need in _needs(plan).items()
        ],
        "missing": mistakes,
        "troubles": [str(one) for one in search.troubles],
    }
    emit(value, as_json=as_json, text=lambda: _screen(value))
    if mistakes:
        raise click.exceptions.Exit(EXIT_NO)


@secret.command(short_help="Put a new value in place, without a restart.")
@click.argument("name")
@_profile
@as_json
def rotate(*, name: str, profile: str, as_json: bool) -> None:
    """Read a new value of NAME, from standard input or a prompt that does not show it, and put it
    where the old one is: into Vault, into its file, or onto this machine. Agents reveal it within
    two seconds; what they used before stays hidden in logs.
    """
    environment = Environment.read()
    home = Home(environment.home)
    taking, plan = _taken(environment, home, profile)
    if name not in (needs := _needs(plan)):
        raise Refusal(f"no agent of the plan needs a secret {name!r}{near(name, needs)}")
    value = _asked(name)
    try:
        where, hosts = asyncio.run(_rotated(taking, home, name, value))
    except Failure as failure:
        raise Refusal(f"{failure}.", EXIT_NO) from failure
    told = {"name": name, "where": where, "hosts": hosts}
    have = f"; in force on {', '.join(hosts)}" if hosts else ""
    emit(told, as_json=as_json, text=lambda: f"{name} has a new value: {where}{have}")


_ABSENT: Mapping[str, str] = {"provider": "", "version": "", "since": ""}


def _taken(
    environment: Environment, home: Home, profile: str
) -> tuple[Taking, nouns.WantedMachine]:
    """With the plan of what runs here, unless another is asked for."""
    running = home.wanted
    written = blueprint(environment)
    name = profile or (running.plan.profile if running else DEFAULT_PROFILE)
    plan = wanted(written, Asked(name))
    return Taking(written, plan, environment), plan


def _needs(plan: nouns.WantedMachine) -> dict[str, dict[str, Any]]:
    """By name, in their order: who needs it, and whether anybody cannot do without."""
    found: dict[str, dict[str, Any]] = {}
    for host in planned_machine(plan).hosts:
        for agent in host.agents:
            for names, is_required in ((agent.secrets, True), (agent.optional_secrets, False)):
                for name in names:
                    need = found.setdefault(name, {"required": False, "agents": []})
                    need["required"] |= is_required
                    if agent.name not in need["agents"]:
                        need["agents"].append(agent.name)
    return dict(sorted(found.items()))


def _told(search: Search, name: str) -> Mapping[str, str]:
    found = search.found.get(name)
    if found is None:
        return _ABSENT
    since = found.since.isoformat(timespec="seconds")
    return {"provider": found.provider, "version": found.version, "since": since}


def _screen(value: Mapping[str, Any]) -> str:
    rows = [
        (
            one["name"],
            one["provider"] or ("missing" if one["required"] else "- (optional)"),
            one["version"] or "-",
            _age(one["since"]),
            ", ".join(one["agents"]),
        )
        for one in value["secrets"]
    ]
    lines = [table([_HEADER, *rows]) if rows else "No agent of the plan needs a secret."]
    lines += [f"Missing: {one}" for one in value["missing"]]
    lines += [f"Note: {one}" for one in value["troubles"]]
    return "\n".join(lines)


def _age(since: str) -> str:
    if not since:
        return "-"
    return rough((_CLOCK.now() - datetime.fromisoformat(since)).total_seconds())


def _asked(name: str) -> str:
    """Never an argument, which every user of the machine could read."""
    if sys.stdin.isatty():
        said = click.prompt(f"New value of {name}", hide_input=True, confirmation_prompt=True)
    else:
        # Past the text stream, which would change line breaks and break off at what is no text.
        typed = sys.stdin.buffer.read().decode(errors="surrogateescape")
        said = typed.removesuffix("\n").removesuffix("\r")
    if why := files.unfit(said):
        raise Refusal(f"the value cannot be a secret: {why}; nothing was changed.")
    if not can_be_hidden(said):
        message = f"a secret has {CHARS_MIN} characters at least, a number {DIGITS_MIN}"
        raise Refusal(f"{message}, or it cannot be hidden in a log; nothing was changed.")
    return Secret(str(said)).reveal()


async def _rotated(taking: Taking, home: Home, name: str, value: str) -> tuple[str, list[str]]:
    async with taking.providers(home) as chain:
        where = await chain.write(name, value)
    home.secrets.hurry()
    if home.wanted is None:
        return where, []
    return where, await _arrived(home.secrets, name, value)


async def _arrived(place: Place, name: str, value: str) -> list[str]:
    """The hosts that have it, once all that had another one do."""
    until_s = _CLOCK.monotonic_s() + _ARRIVES_S
    while True:
        hosts = {path.parent.name: _holds(path, value) for path in place.laid(name)}
        if all(hosts.values()) or _CLOCK.monotonic_s() >= until_s:
            break
        await _CLOCK.sleep(_LOOK_S)
    if late := _named(host for host, has_it in hosts.items() if not has_it):
        raise Refusal(
            f"it was written, but {late} has the old one still: ./tandem secret list says why.",
            EXIT_NO,
        )
    return sorted(hosts)


def _named(hosts: Iterable[str]) -> str:
    return ", ".join(sorted(hosts))


def _holds(path: Path, value: str) -> bool:
    try:
        return path.read_bytes() == value.encode()
    except OSError:
        return False
