"""Why a search of all stores found nothing out, in the words of the contract."""

from __future__ import annotations

from collections.abc import Sequence

from services.memory.vector_federation.asking import ANSWERED, LACKING, Fault, Outcome
from tandem.memory.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError, TransientError

_RETRY_S = 1.0


def unanswered(outcomes: Sequence[Outcome], collection: str) -> CallerError | TransientError | None:
    """None where a store answered."""
    if any(one.state == ANSWERED for one in outcomes):
        return None
    told = "; ".join(f"{one.store}: {one.cause or 'no such collection'}" for one in outcomes)
    others = [one for one in outcomes if one.state != LACKING]
    if not others:
        reason = errors.ERROR_REASON_COLLECTION_NOT_FOUND
        return CallerError(reason, "no store has such a collection", collection=collection)
    faults = {one.fault for one in others}
    if faults == {Fault.SPACE}:
        message = "the collection holds vectors of another space"
        return CallerError(errors.ERROR_REASON_SPACE_MISMATCH, message, field="space", stores=told)
    if Fault.REQUEST in faults:
        (cause, *_) = (one.cause for one in others if one.fault is Fault.REQUEST)
        return invalid(cause)
    return TransientError(
        errors.ERROR_REASON_STORES_UNREACHABLE,
        "no store of the federation answered in time",
        retry_after_s=_RETRY_S,
        stores=told,
    )


def invalid(cause: str) -> CallerError:
    return CallerError(errors.ERROR_REASON_VECTOR_INVALID, cause, field="values")


def no_store(name: str, known: Sequence[str]) -> CallerError:
    return CallerError(
        errors.ERROR_REASON_FEDERATED_STORE_NOT_FOUND,
        "the federation has no store of that name",
        field="stores",
        store=name,
        known=", ".join(known),
    )
