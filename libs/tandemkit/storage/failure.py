"""How a store fails beside `tandemkit.reach.failure`. Free of transport, like all of storage."""

from __future__ import annotations

from tandemkit.core.errors import Failure


class Damaged(Failure):
    """What is stored is not what was written."""
