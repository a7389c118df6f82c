"""The whole service, put together from its six areas. Each area's `calls.py` maps messages to a
core that knows nothing of gRPC.
"""

from __future__ import annotations

from services.utility.toolbox.archive.calls import ArchiveCalls
from services.utility.toolbox.calendar.calls import CalendarCalls
from services.utility.toolbox.digest.calls import DigestCalls
from services.utility.toolbox.document.calls import DocumentCalls
from services.utility.toolbox.limits import Limits
from services.utility.toolbox.quantity.calls import QuantityCalls
from services.utility.toolbox.quantity.units import Units
from services.utility.toolbox.text.calls import TextCalls


class ToolboxServicer(
    TextCalls, CalendarCalls, QuantityCalls, DigestCalls, DocumentCalls, ArchiveCalls
):
    """Every area answers its own RPCs; what they share is handed in here."""

    def __init__(self, limits: Limits, units: Units) -> None:
        self._limits, self._units = limits, units
