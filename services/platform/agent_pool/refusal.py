"""How this agent refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tandem.platform.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.machine.asking import HostRefused
from tandemkit.reach.failure import Unreachable

RETRY_S = 1.0
# As hosts say that asking again is no use: they have no such agent, or it needs settings.
_NEVER = frozenset({"AGENT_NOT_IN_PROGRAM", "INSTANCE_REFUSED"})


@contextmanager
def storing() -> Iterator[None]:
    """For what is written on disk."""
    try:
        yield
    except Unreachable as error:
        reason = errors.ERROR_REASON_STORE_UNREACHABLE
        raise TransientError(reason, error.message, retry_after_s=RETRY_S) from error


def unknown_type(agent_type: str, why: str) -> CallerError:
    reason = errors.ERROR_REASON_AGENT_TYPE_UNKNOWN
    message = "no pool can serve such an agent"
    return CallerError(reason, message, field="agent_type", agent_type=agent_type, why=why)


def unknown(name: str) -> CallerError:
    reason, message = errors.ERROR_REASON_ALLOCATION_UNKNOWN, "nothing is allocated by that name"
    return CallerError(reason, message, field="name", name=name)


def differs(name: str, service: str) -> CallerError:
    reason, message = errors.ERROR_REASON_ALLOCATION_DIFFERS, "the name is another agent's"
    return CallerError(reason, message, field="agent_name", name=name, service=service)


def full(most: int) -> TransientError:
    reason = errors.ERROR_REASON_ALLOCATIONS_FULL
    message = "there are as many allocations as the settings allow; release some"
    return TransientError(reason, message, retry_after_s=RETRY_S, allocations_max=most)


def away(pool: str, machine: str) -> TransientError:
    message = "no host of the pool is there that may serve the instance"
    reason = errors.ERROR_REASON_POOL_AWAY
    return TransientError(reason, message, retry_after_s=RETRY_S, pool=pool, machine=machine)


def exhausted(pool: str, slots: int, wait_s: float | None) -> TransientError:
    return TransientError(
        errors.ERROR_REASON_POOL_EXHAUSTED,
        "all slots of the pool are taken by instances that are busy, pinned or were used just now",
        retry_after_s=RETRY_S if wait_s is None else max(wait_s, 0.001),
        pool=pool,
        slots=slots,
    )


def of_host(error: HostRefused, name: str, service: str) -> CallerError | TransientError:
    """Of a host that was to serve an instance."""
    if error.reason in _NEVER:
        return unknown_type(service, error.metadata.get("why", error.message))
    cause = error.metadata.get("cause", error.message)
    reason = errors.ERROR_REASON_ALLOCATION_UNBUILT
    message = "the host could not build the instance, or did not answer"
    return TransientError(reason, message, retry_after_s=RETRY_S, name=name, cause=cause)
