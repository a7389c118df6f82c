"""What the gateway counts of itself, for Prometheus: calls of agents are counted by their hosts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tandemkit.telemetry.exposition import COUNTER, GAUGE, Family, Sample


class Measures:
    """`answers` are by face and status, `connections` are those that are open."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self.connections = 0

    def families(self) -> Iterator[Family]:
        """As they are now."""
        yield Family(
            "tandem_gateway_answers",
            COUNTER,
            "Requests that were answered, by face and status; streams when they begin.",
            [
                Sample(count, {"face": face, "status": str(status)})
                for (face, status), count in sorted(self.answers.items())
            ],
        )
        yield Family(
            "tandem_gateway_connections",
            GAUGE,
            "Connections that are open.",
            [Sample(self.connections, {})],
        )
