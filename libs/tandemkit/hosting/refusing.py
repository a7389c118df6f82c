"""What stores and listings raise, as refusals in the words of an agent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tandemkit.core.errors import CallerError, TransientError
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.rpc.paging import Page, TokenInvalid, name_in, page_of
from tandemkit.storage.failure import Damaged

_RETRY_S = 1.0


@contextmanager
def storing(unreachable: int, damaged: int | None = None) -> Iterator[None]:
    """For what reads or writes the agent's state. Without a reason of its own damage is raised as
    it is.
    """
    try:
        yield
    except (Unreachable, Refused) as error:
        raise TransientError(unreachable, error.message, retry_after_s=_RETRY_S) from error
    except Damaged as error:
        if damaged is None:
            raise
        raise CallerError(damaged, error.message) from error


def page_start(token: str, scope: str, reason: int) -> str:
    """Behind which name a page of the listing begins. Raises CallerError."""
    try:
        return name_in(token, scope) if token else ""
    except TokenInvalid as error:
        raise _no_page(reason) from error


def page(names: Sequence[str], scope: str, token: str, size: int, reason: int) -> Page:
    """The page of a listing that is all there. Raises CallerError."""
    try:
        return page_of(names, scope=scope, token=token, size=size)
    except TokenInvalid as error:
        raise _no_page(reason) from error


def _no_page(reason: int) -> CallerError:
    message = "the page token belongs to no page of this listing"
    return CallerError(reason, message, field="page_token")
