"""Pages over names in their order."""

from __future__ import annotations

import base64
import binascii
import bisect
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from google.protobuf.message import Message

Listed = TypeVar("Listed", bound=Message)
# Of the 4 MiB that a message may have: the rest is for what stands beside the listed.
PAGE_BYTES_MAX: Final = 3 * 1024 * 1024
_SCOPE_BYTES = 8


class TokenInvalid(ValueError):
    """The token belongs to no page of this listing."""


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a listing; `next_token` is empty after the last part."""

    names: Sequence[str]
    next_token: str

    @property
    def last(self) -> str:
        """Behind which name the next one begins; empty for the last."""
        return self.names[-1] if self.next_token else ""


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


def fitting(listed: Iterable[Listed]) -> list[Listed]:
    """The first of them, as many as one message takes: at least one, or nobody would get on."""
    found: list[Listed] = []
    left_bytes = PAGE_BYTES_MAX
    for one in listed:
        left_bytes -= one.ByteSize()
        if found and left_bytes < 0:
            break
        found.append(one)
    return found


def fitting_page(
    found: Sequence[tuple[str, Listed]], last: str, scope: str
) -> tuple[list[Listed], str]:
    """Of a page those that fit, by what stands behind whose name the next one goes on, and the
    token for that: where all fit it begins behind `last`, which is empty for the last page.
    """
    told = fitting(one for _, one in found)
    name = found[len(told) - 1][0] if len(told) < len(found) else last
    return told, token_after(name, scope) if name else ""


def _digest(scope: str) -> bytes:
    return hashlib.blake2b(scope.encode(), digest_size=_SCOPE_BYTES).digest()
