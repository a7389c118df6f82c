"""What a server did where it had too much to do."""

from __future__ import annotations

from collections.abc import Iterator

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
