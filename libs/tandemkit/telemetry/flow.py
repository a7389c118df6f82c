"""What a server did where it had too much to do, and the channels over which others are called."""

from __future__ import annotations

from collections.abc import Iterator

from tandemkit.rpc import channel
from tandemkit.rpc.priority import Priority
from tandemkit.rpc.turns import Turns
from tandemkit.telemetry.exposition import COUNTER, GAUGE, Family, Sample


def families(turns: Turns) -> Iterator[Family]:
    """By class, the lesser first."""
    labelled = [(one, {"priority": one.word}) for one in Priority]
    shed = [Sample(turns.shed.counts[one], labels) for one, labels in labelled]
    meaning = "Calls that were refused because the host had too much to do."
    yield Family("tandem_calls_shed", COUNTER, meaning, shed)
    waiting = [Sample(turns.waiting(one), labels) for one, labels in labelled]
    yield Family("tandem_calls_waiting", GAUGE, "Calls that wait for their turn.", waiting)


def channels() -> Iterator[Family]:
    """Of the process, to other servers and to the mesh."""
    by_state = zip(("open", "idle"), channel.in_use(), strict=True)
    samples = [Sample(count, {"state": state}) for state, count in by_state]
    yield Family("tandem_channels", GAUGE, "Channels that have users, one a target.", samples)
    yield _count("opened", "Channels that were opened.", channel.ACCOUNT.opened)
    yield _count("evicted", "Channels closed behind their last users.", channel.ACCOUNT.evicted)


def _count(name: str, meaning: str, value: int) -> Family:
    return Family(f"tandem_channels_{name}", COUNTER, meaning, [Sample(value, {})])
