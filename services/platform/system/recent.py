"""The commands of late, as the events of their stream tell them."""

from __future__ import annotations

from collections import OrderedDict

from tandem.platform.v1 import event_store_service_pb2 as events
from tandem.platform.v1 import system_service_pb2 as pb

KEPT_MAX = 100


class Recent:
    """The last of them, by when they began. One that is done takes the place of itself begun."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], pb.SystemCommand] = OrderedDict()

    def heard(self, event: events.Event) -> None:
        if event.content.schema != pb.SystemCommand.DESCRIPTOR.full_name:
            return
        command = pb.SystemCommand.FromString(event.content.content)
        self._kept[command.request.request_id, command.begin_time.ToNanoseconds()] = command
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)

    def last(self, count: int) -> list[pb.SystemCommand]:
        """The newest first."""
        return list(reversed(self._kept.values()))[:count]
