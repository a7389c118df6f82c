"""Pages over names in their order."""

from __future__ import annotations

import base64
import binascii
import bisect
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

_SCOPE_BYTES = 8


class TokenInvalid(ValueError):
    """The token belongs to no page of this listing."""


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a listing; `next_token` is empty after the last part."""

    names: Sequence[str]
    next_token: str


def page_of(names: Sequence[str], *, scope: str, token: str, size: int) -> Page:
    """Cuts one page out of sorted `names`.

    A token holds the last name given out, so it stays right when names come and go, and a digest of
    `scope` (the listing and its filter), so it fits no other listing.
    """
    start = bisect.bisect_right(names, name_in(token, scope)) if token else 0
    page = names[start : start + size]
    more = start + size < len(names)
    return Page(names=page, next_token=token_after(page[-1], scope) if more else "")


def token_after(name: str, scope: str) -> str:
    """Asks for what stands behind `name`, for listings that are never held whole."""
    return base64.urlsafe_b64encode(_digest(scope) + name.encode()).decode()


def name_in(token: str, scope: str) -> str:
    """The name that a token stands behind. Raises TokenInvalid."""
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        name = raw[_SCOPE_BYTES:].decode()
    except (binascii.Error, UnicodeError, ValueError) as malformed:
        raise TokenInvalid from malformed
    if raw[:_SCOPE_BYTES] != _digest(scope):
        raise TokenInvalid
    return name


def _digest(scope: str) -> bytes:
    return hashlib.blake2b(scope.encode(), digest_size=_SCOPE_BYTES).digest()
