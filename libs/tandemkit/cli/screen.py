"""What `up` shows once the fleet is there: what serves where, what does not, and what to try."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor_pb2 import MethodOptions

from tandem.control.v1 import machine_pb2 as nouns
from tandemkit.cli.absent import absent_of
from tandemkit.cli.output import table
from tandemkit.cli.progress import worded
from tandemkit.cli.starting import Began, lacking
from tandemkit.machine.loading import agent_of

_FRONT = "tandem.language.v1.RequestCoordinatorService"
_DONE = {"start": "started", "restart": "restarted", "stop": "stopped"}


def value_of(machine: nouns.Machine) -> dict[str, object]:
    """For --json. Enum values are written as the status of a health check is: SERVING."""
    return {
        "address": machine.controls[0] if machine.controls else "",
        "controls": list(machine.controls),
        "machine": machine.name,
        "profile": machine.profile,
        "generation": machine.generation,
        "registry": machine.registry,
        "serving": not lacking(machine),
        "agents": [agent.name for host in machine.hosts for agent in host.agents],
        "hosts": [
            {
                "host": host.host,
                "state": _short(nouns.HostState.Name(host.state), "HOST_STATE_"),
                "cause": host.cause,
                "pid": host.pid,
                "address": host.address,
                "http_address": host.http_address,
                "agents": [agent.name for agent in host.agents],
            }
            for host in machine.hosts
        ],
        "absent": absent_of(machine.absent),
    }


def screen(machine: nouns.Machine, began: Began, *, detached: bool) -> str:
    """One screen for a person."""
    return "\n".join(
        line
        for block in (
            (_headline(machine, began, detached=detached), *_changes(began)),
            tuple(_table(machine)),
            tuple(_lacking(machine)),
            tuple(_calls(machine)),
        )
        if block
        for line in (*block, "")
    ).rstrip("\n")


def _headline(machine: nouns.Machine, began: Began, *, detached: bool) -> str:
    agents = [agent for host in machine.hosts for agent in host.agents]
    serving = sum(agent.state == nouns.AGENT_STATE_SERVING for agent in agents)
    count = f"{serving} of {len(agents)}" if serving < len(agents) else str(serving)
    hosts = len(machine.hosts)
    where = machine.controls[0] if machine.controls else "nowhere"
    if detached or began.attached:
        end = "./tandem down ends it" + ("" if detached else ", and Ctrl-C leaves it running")
    else:
        end = "Ctrl-C ends it"
    return f"Tandem serves {count} agents in {hosts} hosts; control is at {where}; {end}."


def _changes(began: Began) -> Iterator[str]:
    if not began.attached:
        return
    for one in began.told:
        yield f"{_DONE[one['deed']]} {one['host']}: {one['why']}"
    if not began.told:
        yield "It ran already as it is wanted; nothing was changed."


def _table(machine: nouns.Machine) -> Iterator[str]:
    rows = [
        (agent.name, host.host, host.address, agent.service)
        for host in machine.hosts
        for agent in host.agents
    ]
    yield table(rows)
    if machine.registry.startswith("consul at "):
        yield f"Consul shows them at {machine.registry.removeprefix('consul at ')}/ui"


def _lacking(machine: nouns.Machine) -> Iterator[str]:
    for host in lacking(machine):
        yield f"NOT SERVING: {worded(host)}"
    for one in machine.absent:
        yield f"ABSENT: {one.name}: {one.why}."


def _calls(machine: nouns.Machine) -> Iterator[str]:
    address = machine.controls[0] if machine.controls else ""
    samples = (
        text for host in machine.hosts for one in host.agents if (text := _sample(one.service))
    )
    call = next(samples, "SERVICE/METHOD '{}'")
    yield "Try, in another terminal:"
    yield "  ./tandem agents"
    if any(one.service == _FRONT for host in machine.hosts for one in host.agents):
        yield '  ./tandem ask "How do I add an agent?"'
    yield f"  ./tandem call {call}"
    yield f"  grpcurl -plaintext {address} list"
    yield '  eval "$(./tandem env)"; grpcurl -plaintext xds:///tandem list'
    yield "Calls show the token of $TANDEM_HOME/token, as those of ./tandem do. With grpcurl:"
    yield '  BEARER="Bearer $(cat "$TANDEM_TOKEN_FILE")" grpcurl -expand-headers \\'
    yield "    -H 'authorization: ${BEARER}' -plaintext xds:///tandem SERVICE/METHOD"


def _sample(service: str) -> str:
    """A call that changes nothing and needs no more than a text, if the agent has one."""
    agent = agent_of(service)
    for method in agent.promise.service.methods:
        harmless = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
        fields = method.input_type.fields
        streams = method.client_streaming or method.server_streaming
        if harmless and not streams and [field.name for field in fields] == ["text"]:
            return f'{agent.name}/{method.name} \'{{"text": "hello"}}\''
    return ""


def _short(name: str, prefix: str) -> str:
    return name.removeprefix(prefix)
