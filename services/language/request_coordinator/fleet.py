"""How the fleet is, in words."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Final

from services.language.request_coordinator.asked import Answer, Asked, Said, pieces, share_s
from services.language.request_coordinator.calling import (
    Unanswered,
    called,
    headers,
    nobody_answered,
)
from tandem.control.v1 import fleet_status_service_pb2 as pb
from tandem.control.v1 import fleet_status_service_pb2_grpc as rpc
from tandem.language.v1 import answer_pb2 as nouns

STATUS: Final = "tandem.control.v1.FleetStatusService"
_SHARE: Final = 0.9
_WITHIN_S: Final = 2.0
_PAGE: Final = 1000
_NAMED_MAX: Final = 40
_WORD: Final = re.compile(r"[\w.-]+")


class Fleet:
    """By what control knows at the moment."""

    def __init__(self, status: rpc.FleetStatusServiceAsyncStub) -> None:
        self._status = status

    async def answer(self, asked: Asked) -> AsyncIterator[Said]:
        request = pb.ListAgentsRequest(page_size=_PAGE)
        try:
            found = await called(
                STATUS,
                lambda timeout: self._status.ListAgents(
                    request, timeout=timeout, metadata=headers(asked)
                ),
                share_s(_SHARE, _WITHIN_S),
            )
        except Unanswered as error:
            raise nobody_answered([error]) from error
        if found.HasField("stale_time"):
            cause = "control has not heard of its registry since then: what it says may be old"
            yield nouns.Shortfall(service=STATUS, cause=cause)
        text = told(asked.text, found.agents)
        for piece in pieces(text):
            yield piece
        yield Answer(text, nouns.Answerer(service=STATUS, backend="fleet"))


def told(question: str, agents: Sequence[pb.FleetAgent]) -> str:
    """Of those that the question names, or of all."""
    words = {one.strip(".-").casefold() for one in _WORD.findall(question)}
    named = [one for one in agents if not words.isdisjoint(_names(one))]
    if named:
        return "\n".join(_one(agent) for agent in named)
    return _all(agents)


def _names(agent: pb.FleetAgent) -> set[str]:
    last = agent.service.rpartition(".")[2]
    spellings = (agent.service, agent.short_name, last, last.removesuffix("Service"))
    return {one.casefold() for one in spellings}


def _one(agent: pb.FleetAgent) -> str:
    if not agent.instances:
        return f"{agent.short_name} runs nowhere at present."
    places = [f"{one.host} on {one.machine} ({_state(one)})" for one in agent.instances]
    return f"{agent.short_name} runs at {'; '.join(places)}."


def _state(instance: pb.FleetInstance) -> str:
    if instance.drained:
        return "drained: new calls go elsewhere"
    return "serving" if instance.serving else "not serving"


def _all(agents: Sequence[pb.FleetAgent]) -> str:
    well = [one for one in agents if any(place.serving for place in one.instances)]
    ill = [one.short_name for one in agents if one not in well]
    hosts = {place.host for one in agents for place in one.instances}
    lines = [f"{len(well)} of {len(agents)} agents serve, on {len(hosts)} hosts."]
    if ill:
        lines.append(f"Nobody serves {_row(ill)}.")
    lines.append(f"Serving: {_row([one.short_name for one in well])}.")
    return "\n".join(lines)


def _row(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED_MAX]) or "nobody"
    more = len(names) - _NAMED_MAX
    return f"{shown} and {more} more" if more > 0 else shown
