"""The quantity part of the service: messages in, messages out.

Everything here is small and inline: expressions are short, and the unit registry is not made for
threads.
"""

from __future__ import annotations

import asyncio

from services.utility.toolbox.paging import page_of
from services.utility.toolbox.quantity.units import Units
from tandem.utility.v1 import quantity_pb2 as pb
from tandem.utility.v1 import toolbox_service_pb2_grpc as rpc
from tandemkit.rpc.context import Context

UNITS_PAGE_DEFAULT = 50
UNITS_PAGE_MAX = 500
EXPRESSIONS_MAX = 20_000


class QuantityCalls(rpc.ToolboxServiceServicer):
    """Quantities and their units."""

    _units: Units

    async def ConvertQuantity(
        self, request: pb.ConvertQuantityRequest, context: Context
    ) -> pb.ConvertQuantityResponse:
        asked = request.quantity
        units = await self._fresh_units()
        found = units.convert(asked.value, asked.unit, request.target_unit)
        return pb.ConvertQuantityResponse(
            quantity=pb.Quantity(value=found.value, unit=found.unit), dimension=found.dimension
        )

    async def ListUnits(
        self, request: pb.ListUnitsRequest, context: Context
    ) -> pb.ListUnitsResponse:
        expression = request.compatible_with
        registry = await self._fresh_units()
        units, dimension = registry.compatible(expression, field="compatible_with")
        symbols = {unit.name: unit.symbol for unit in units}
        page = page_of(
            list(symbols),
            scope=f"units:{expression}",
            token=request.page_token,
            size=min(request.page_size or UNITS_PAGE_DEFAULT, UNITS_PAGE_MAX),
        )
        return pb.ListUnitsResponse(
            units=[pb.Unit(name=name, symbol=symbols[name]) for name in page.names],
            next_page_token=page.next_token,
            dimension=dimension,
        )

    async def _fresh_units(self) -> Units:
        """The units, made anew in a thread when they have come to remember too much."""
        if self._units.expressions_read >= EXPRESSIONS_MAX:
            self._units.expressions_read = 0
            self._units = await asyncio.to_thread(Units)
        return self._units
