"""Pages over a sorted list of names that no call changes, with the family's refusal."""

from __future__ import annotations

from collections.abc import Sequence

from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError
from tandemkit.rpc import paging
from tandemkit.rpc.paging import Page


def page_of(names: Sequence[str], *, scope: str, token: str, size: int) -> Page:
    """One page of sorted `names`; a token fits only the `scope` that it was made for."""
    try:
        return paging.page_of(names, scope=scope, token=token, size=size)
    except paging.TokenInvalid as error:
        raise CallerError(
            errors.ERROR_REASON_PAGE_TOKEN_INVALID,
            "the page token belongs to no page of this listing",
            field="page_token",
        ) from error
