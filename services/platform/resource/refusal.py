"""Why something is not granted, in the words of the contract, and who has it instead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.platform.resource.accounts import CORES, Short, Shortfall, milli
from services.platform.resource.capacity import MILLI, Capacity
from tandem.fleet.v1.resources_pb2 import MEMORY_POOL_STANDARD
from tandem.platform.v1 import errors_pb2 as errors
from tandem.platform.v1.resource_pb2 import ResourceGrant, ResourceShortfall
from tandemkit.core.errors import CallerError
from tandemkit.written.pools import RESERVE, pool_name

_TOLD_MAX = 3
_HOLDERS_MAX = 10


def exhausted(short: Short, grants: Sequence[ResourceGrant]) -> CallerError:
    """The first thing that is short, with those who have most of it."""
    first = short.shortfalls[0]
    holders = most_first(grants, first.resource)
    return CallerError(
        errors.ERROR_REASON_RESOURCES_EXHAUSTED,
        "more is asked for than is left",
        resource=first.resource,
        asked=_shown(first.resource, first.asked),
        free=_shown(first.resource, first.free),
        missing=", ".join(one.resource for one in short.shortfalls),
        holders=_first(
            f"{one.holder} has {_shown(first.resource, share(one, first.resource))} for {one.use}"
            for one in holders
        ),
    )


def no_gpu(capacity: Capacity, name: str) -> CallerError:
    known = ", ".join(capacity.gpus_percent) or "none"
    reason, said = errors.ERROR_REASON_GPU_UNKNOWN, "the machine has no such GPU"
    return CallerError(reason, said, field="amounts.gpu", gpu=name, known=known)


def no_grant(holder: str) -> CallerError:
    reason = errors.ERROR_REASON_GRANT_UNKNOWN
    return CallerError(reason, "the holder has no grant", field="holder", holder=holder)


def told(shortfall: Shortfall, grants: Sequence[ResourceGrant]) -> ResourceShortfall:
    """For who asks what would be."""
    unit = MILLI if shortfall.resource == CORES else 1
    return ResourceShortfall(
        resource=shortfall.resource,
        asked=shortfall.asked / unit,
        free=shortfall.free / unit,
        holders=most_first(grants, shortfall.resource)[:_HOLDERS_MAX],
    )


def most_first(grants: Iterable[ResourceGrant], resource: str) -> list[ResourceGrant]:
    """Those that hold some of it, the biggest first."""
    held = sorted(((share(one, resource), one) for one in grants), key=lambda it: -it[0])
    return [one for amount, one in held if amount]


def share(grant: ResourceGrant, resource: str) -> int:
    """How much of it the grant is: MiB, thousandths of a core, or percent."""
    amounts = grant.amounts
    if resource == CORES:
        return milli(amounts)
    if resource == RESERVE:
        return grant.reserve_mib
    if resource == pool_name(amounts.pool or MEMORY_POOL_STANDARD):
        return amounts.memory_mib - grant.reserve_mib
    return amounts.gpu_percent if amounts.gpu == resource else 0


def _shown(resource: str, amount: int) -> str:
    return f"{amount / MILLI:g}" if resource == CORES else str(amount)


def _first(listed: Iterable[str]) -> str:
    """The first few: a failure has to fit into the headers of a call."""
    said = list(listed)
    more = len(said) - _TOLD_MAX
    return "; ".join(said[:_TOLD_MAX]) + (f"; and {more} more" if more > 0 else "")
