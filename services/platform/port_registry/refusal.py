"""Why a port is not lent, in the words of the contract."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tandem.platform.v1 import errors_pb2 as errors
from tandem.platform.v1.port_registry_service_pb2 import PortLease
from tandemkit.core.errors import CallerError
from tandemkit.supervise.ports import PortsTaken
from tandemkit.written.near import hint
from tandemkit.written.ports import PortBook

_TOLD_MAX = 3


def check_range(book: PortBook, name: str, preferred: int) -> None:
    """Raises CallerError for a range that the list does not have, and a port that is not in it."""
    if name not in book.ranges:
        reason, said = errors.ERROR_REASON_PORT_RANGE_UNKNOWN, "the list of ports has no such range"
        raise CallerError(reason, said, field="range", range=name, known=", ".join(book.ranges))
    span = book.span(name)
    if preferred and preferred not in span:
        raise CallerError(
            errors.ERROR_REASON_PORT_OUT_OF_RANGE,
            "the preferred port is not in the range",
            field="preferred_port",
            port=preferred,
            first=span.start,
            last=span.stop - 1,
        )


def exhausted(name: str, lent: Sequence[PortLease], taken: PortsTaken) -> CallerError:
    """With those who have the ports, and what keeps the others."""
    return CallerError(
        errors.ERROR_REASON_PORTS_EXHAUSTED,
        "no port of the range is free",
        range=name,
        lent=len(lent),
        owners=_first(f"{one.owner} has {one.port}" for one in lent),
        kept=_first(f"{port} {why}" for port, why in taken.reasons.items()),
    )


def use_taken(known: PortLease) -> CallerError:
    return CallerError(
        errors.ERROR_REASON_PORT_USE_TAKEN,
        "the owner has a port of another range for this use",
        field="use",
        port=known.port,
        range=known.range,
    )


def no_lease(owner: str) -> CallerError:
    reason = errors.ERROR_REASON_PORT_LEASE_UNKNOWN
    return CallerError(reason, "the owner has no port", field="owner", owner=owner)


def named(book: PortBook, name: str) -> int:
    """The number of a fixed port. Raises CallerError with the nearest name."""
    if name not in book.fixed:
        near = hint(name, book.fixed).removeprefix("; ")
        reason = errors.ERROR_REASON_PORT_NAME_UNKNOWN
        raise CallerError(reason, "no fixed port is called so", field="name", name=name, near=near)
    return book.fixed[name]


def _first(told: Iterable[str]) -> str:
    """The first few: a failure has to fit into the headers of a call."""
    listed = list(told)
    more = len(listed) - _TOLD_MAX
    return "; ".join(listed[:_TOLD_MAX]) + (f"; and {more} more" if more > 0 else "")
