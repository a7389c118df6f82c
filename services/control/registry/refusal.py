"""What a registry refuses, in the words of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tandem.control.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.registry.protocol import LeadershipLost, LeaseLost, VersionConflict

# A backend that did not answer in its three seconds will not in the next tenth of one.
RETRY_S = 1.0
# What the backend said stays in control's log: it may name tokens.
_FIX = (
    "the registry's backend refuses this control; see to the token or password, its rights and the "
    "certificates in the settings of control-registry, whose log says what was refused"
)


def out_of_order(message: str, field: str) -> CallerError:
    return CallerError(errors.ERROR_REASON_STREAM_OUT_OF_ORDER, message, field=field)


def lease_lost(host: str) -> CallerError:
    return CallerError(errors.ERROR_REASON_LEASE_LOST, "the lease has ended", host=host)


@contextmanager
def refusals_for(field: str, value: str) -> Iterator[None]:
    """Turns what the registry raises for `value`, which stood in `field`, into refusals."""
    try:
        yield
    except LeaseLost as error:
        raise lease_lost(value) from error
    except LeadershipLost as error:
        message = "somebody else leads, or may"
        raise CallerError(errors.ERROR_REASON_LEADERSHIP_LOST, message, **{field: value}) from error
    except VersionConflict as error:
        message = "the value has another version"
        raise CallerError(
            errors.ERROR_REASON_VERSION_CONFLICT, message, **{field: value}
        ) from error
    except Unreachable as error:
        reason, message = errors.ERROR_REASON_BACKEND_UNREACHABLE, "the backend did not answer"
        raise TransientError(reason, message, retry_after_s=RETRY_S) from error
    except Refused as error:
        raise CallerError(errors.ERROR_REASON_BACKEND_REFUSED, _FIX, **{field: value}) from error
    except ValueError as error:
        message = "the registry stores no such thing"
        raise CallerError(errors.ERROR_REASON_NOT_STORABLE, message, field=field) from error
