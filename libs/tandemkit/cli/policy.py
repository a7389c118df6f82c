"""`tandem policy`: the fleet's traffic policy, read and changed. Each command is one call or two of
TrafficPolicyService.
"""

from __future__ import annotations

from typing import Any

import click
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc import code_pb2

from tandem.control.v1 import traffic_policy_pb2 as nouns
from tandem.control.v1 import traffic_policy_service_pb2 as pb
from tandemkit.cli import completing
from tandemkit.cli.output import Refusal, emit, examples
from tandemkit.cli.policy_session import Session, asking, changing
from tandemkit.cli.policy_text import deeds_text, history_text, in_force_lines, policy_text

DELAY_S_MAX = 300.0
_CODES = click.Choice([name for name, code in code_pb2.Code.items() if code])


@click.group(
    short_help="Show and change the fleet's traffic: canaries, faults, limits, drains.",
    epilog=examples(
        "./tandem policy show",
        "./tandem policy weigh utility-toolbox v1=90 v2=10     a canary",
        "./tandem policy weigh utility-toolbox v1=0 v2=1       all calls to v2, at once",
        "./tandem policy prefer utility-toolbox x-tester=yes v2",
        "./tandem policy fault utility-files --abort UNAVAILABLE --percent 5",
        "./tandem policy drain laptop-2",
        "./tandem policy undo",
        "./tandem policy history --json",
    ),
)
def policy() -> None:
    """Show and change the fleet's traffic policy. Every change takes effect as a whole on every
    machine within a second, stands in the history, and is undone with one command.

    SERVICE is an agent's short name, another spelling of it, or its full name.
    """


@policy.command(epilog=examples("./tandem policy show", "./tandem policy show --version 3 --json"))
@click.option("--version", type=click.IntRange(min=0), default=0, help="An earlier one.")
@asking
def show(session: Session, version: int) -> None:
    """Show what is in force."""
    with session.policies() as policies:
        told = policies.ask("GetPolicy", pb.GetPolicyRequest(version=version))
        published = None if version else policies.publication()
    value = _json(told)
    text = policy_text(told.policy, told.version)
    if published is not None:
        value["publication"] = _json(published)
        text = "\n".join((text, *in_force_lines(published)))
    emit(value, as_json=session.as_json, text=lambda: text)


@policy.command(
    short_help="Share the calls of SERVICE between versions.",
    epilog=examples("./tandem policy weigh utility-toolbox v1=90 v2=10"),
)
@click.argument("service", shell_complete=completing.services)
@click.argument("shares", nargs=-1, required=True, metavar="VERSION=WEIGHT...")
@changing
def weigh(session: Session, service: str, shares: tuple[str, ...]) -> None:
    """Share the calls of SERVICE between versions, against the sum of the weights."""
    told = [_share(one) for one in shares]

    def change(one: nouns.ServicePolicy) -> None:
        del one.shares[:]
        one.shares.extend(told)

    with session.policies() as policies:
        policies.edit(session, service, change)


@policy.command(
    short_help="Send calls of SERVICE that carry a header to VERSION.",
    epilog=examples(
        "./tandem policy prefer utility-toolbox x-tester=yes v2",
        "./tandem policy prefer utility-toolbox x-tester=yes --off",
    ),
)
@click.argument("service", shell_complete=completing.services)
@click.argument("header", metavar="HEADER=VALUE")
@click.argument("version", required=False)
@click.option("--off", is_flag=True, help="Prefer nothing for this header and value any more.")
@changing
def prefer(session: Session, service: str, header: str, *, version: str | None, off: bool) -> None:
    """Send the calls of SERVICE that carry this header to VERSION."""
    name, given, value = header.partition("=")
    if not given or (version is None) == (not off):
        raise Refusal("prefer takes HEADER=VALUE and a VERSION, or --off in place of it.")

    def change(one: nouns.ServicePolicy) -> None:
        kept = [each for each in one.preferences if (each.header, each.value) != (name, value)]
        del one.preferences[:]
        one.preferences.extend(kept)
        if version is not None:
            one.preferences.add(header=name, value=value, version=version)

    with session.policies() as policies:
        policies.edit(session, service, change)


@policy.command(
    epilog=examples(
        "./tandem policy fault utility-files --abort UNAVAILABLE --percent 5",
        "./tandem policy fault utility-files --delay-s 0.5",
        "./tandem policy fault utility-files --off",
    )
)
@click.argument("service", shell_complete=completing.services)
@click.option("--abort", type=_CODES, help="Code that the calls end with.")
@click.option("--delay-s", type=float, help="Seconds that the calls wait first.")
@click.option("--percent", type=float, default=100.0, show_default=True, help="Of the calls.")
@click.option("--off", is_flag=True, help="No fault any more.")
@changing
def fault(session: Session, service: str, *, off: bool, **said: Any) -> None:
    """End or delay calls of SERVICE on purpose."""
    if off == (said["abort"] is not None or said["delay_s"] is not None):
        raise Refusal("fault takes --abort, --delay-s or both; or --off alone.")
    told = _fault(said["abort"], said["delay_s"], said["percent"])

    def change(one: nouns.ServicePolicy) -> None:
        one.ClearField("fault")
        if not off:
            one.fault.CopyFrom(told)

    with session.policies() as policies:
        policies.edit(session, service, change)


@policy.command(
    short_help="Limit the calls in progress at an instance of SERVICE.",
    epilog=examples("./tandem policy limit utility-files 20"),
)
@click.argument("service", shell_complete=completing.services)
@click.argument("calls_max", type=click.IntRange(min=0))
@changing
def limit(session: Session, service: str, calls_max: int) -> None:
    """Let in at most CALLS_MAX calls of one method of SERVICE at an instance; 0: as its contract
    says.
    """

    def change(one: nouns.ServicePolicy) -> None:
        one.concurrent_calls_max = calls_max

    with session.policies() as policies:
        policies.edit(session, service, change)


@policy.command(
    short_help="Limit the calls that one client has in progress.",
    epilog=examples("./tandem policy client-limit 500"),
)
@click.argument("calls_max", type=click.IntRange(min=0))
@changing
def client_limit(session: Session, calls_max: int) -> None:
    """Let one client have at most CALLS_MAX calls in progress to one set of hosts, whatever they
    serve: a safety limit for clients that ran away. 0: 10,000.
    """
    with session.policies() as policies:
        latest = policies.ask("GetPolicy", pb.GetPolicyRequest())
        latest.policy.client_calls_max = calls_max
        request = pb.ReplacePolicyRequest(
            policy=latest.policy,
            note=session.note,
            expected_version=latest.version,
            allow_absent=session.allow_absent,
        )
        session.show_version(policies.ask("ReplacePolicy", request).version, latest.version)


@policy.command(epilog=examples("./tandem policy clear utility-toolbox"))
@click.argument("service", shell_complete=completing.services)
@changing
def clear(session: Session, service: str) -> None:
    """Remove the whole policy of SERVICE."""

    def change(one: nouns.ServicePolicy) -> None:
        one.CopyFrom(nouns.ServicePolicy(service=one.service))

    with session.policies() as policies:
        policies.edit(session, service, change)


@policy.command(
    short_help="Keep new calls from HOST.", epilog=examples("./tandem policy drain laptop-2")
)
@click.argument("host", shell_complete=completing.fleet_hosts)
@changing
def drain(session: Session, host: str) -> None:
    """Keep new calls from HOST; those in progress end by themselves."""
    request = pb.DrainHostRequest(
        host=_host(host), note=session.note, allow_absent=session.allow_absent
    )
    with session.policies() as policies:
        policies.change(session, "DrainHost", request)


@policy.command("return", epilog=examples("./tandem policy return laptop-2"))
@click.argument("host", shell_complete=completing.fleet_hosts)
@changing
def return_(session: Session, host: str) -> None:
    """Let a drained HOST have calls again."""
    request = pb.ReturnHostRequest(host=_host(host), note=session.note)
    with session.policies() as policies:
        policies.change(session, "ReturnHost", request)


@policy.command(
    short_help="Make the policy what it was before VERSION.",
    epilog=examples("./tandem policy undo", "./tandem policy undo 7"),
)
@click.argument("version", type=click.IntRange(min=1), required=False)
@changing
def undo(session: Session, version: int | None) -> None:
    """Make the policy what it was before VERSION (default: the latest), and show what that did."""
    request = pb.UndoPolicyChangeRequest(version=version or 0, note=session.note)
    with session.policies() as policies:
        policies.change(session, "UndoPolicyChange", request)
        latest = policies.ask("ListPolicyChanges", pb.ListPolicyChangesRequest(page_size=1))
    if not session.as_json:
        click.echo(deeds_text(latest.changes))


@policy.command(epilog=examples("./tandem policy history", "./tandem policy history --count 5"))
@click.option("--count", type=click.IntRange(1, 100), default=20, show_default=True)
@asking
def history(session: Session, count: int) -> None:
    """Show who changed what, the latest first."""
    request = pb.ListPolicyChangesRequest(page_size=count)
    with session.policies() as policies:
        told = policies.ask("ListPolicyChanges", request)
    emit(_json(told), as_json=session.as_json, text=lambda: history_text(told.changes))


def _json(told: Message) -> dict[str, Any]:
    return MessageToDict(told, always_print_fields_with_no_presence=True)


def _share(text: str) -> nouns.VersionShare:
    version, _, weight = text.partition("=")
    if not version or not weight.isdecimal() or len(weight) > len("1000000"):
        raise Refusal(f"{text!r} is not of the form VERSION=WEIGHT, such as v1=90.")
    return nouns.VersionShare(version=version, weight=int(weight))


def _fault(abort: str | None, delay_s: float | None, percent: float) -> nouns.InjectedFault:
    told = nouns.InjectedFault(abort_code=code_pb2.Code.Value(abort or "OK"), percent=percent)
    if delay_s is not None:
        if not 0 < delay_s <= DELAY_S_MAX:
            raise Refusal(f"--delay-s is above 0 and at most {DELAY_S_MAX:g}.")
        told.delay.FromNanoseconds(round(delay_s * 1e9))
    return told


def _host(name: str) -> str:
    return name if name.startswith("hosts/") else f"hosts/{name}"
