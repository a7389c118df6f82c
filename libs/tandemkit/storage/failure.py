"""The ways in which a store fails, whatever it keeps. Free of transport, like all of storage."""

from __future__ import annotations

from tandemkit.core.errors import Failure


class Unreachable(Failure):
    """The store did not answer, or its disk refused. Whether a write took effect is not known."""


class Damaged(Failure):
    """What is stored is not what was written."""


class InUse(Failure):
    """Another process has the file."""
