"""Which sites the settings allow, and what of an address says which site it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urljoin

from yarl import URL

from tandem.gateway.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

_USUAL = {"http": 80, "https": 443}
_URL_CHARS_MAX = 4096
_NOT_SENT = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class Site:
    """One entry: names that end so where it is a `wildcard`; without a port that of the scheme."""

    host: str
    wildcard: bool
    port: int | None

    @classmethod
    def of(cls, entry: str) -> Site:
        host, colon, port = entry.rpartition(":")
        if not colon or entry.endswith("]"):
            host, port = entry, ""
        wildcard = host == "*" or host.startswith("*.")
        return cls(host.removeprefix("*").strip("[]"), wildcard, int(port) if port else None)

    def has(self, url: URL) -> bool:
        host = (url.raw_host or "").lower().rstrip(".")
        fits = host.endswith(self.host) if self.wildcard else host == self.host
        return fits and url.port == (self.port or _USUAL[url.scheme])


class Sites:
    def __init__(self, entries: Sequence[str]) -> None:
        self.entries = tuple(entries)
        self._sites = tuple(Site.of(one) for one in entries)

    def check(self, url: URL, redirected_from: str = "") -> None:
        """Raises CallerError where it is not allowed."""
        if any(one.has(url) for one in self._sites):
            return
        told = {"redirected_from": redirected_from} if redirected_from else {}
        raise CallerError(
            errors.ERROR_REASON_SITE_NOT_ALLOWED,
            "the settings of this agent do not allow the site; whoever runs the fleet adds it to "
            "`sites` of gateway-web",
            field="url",
            site=url.authority,
            **told,
        )


def joined(base: str, target: str) -> str:
    """Where a page's `target` leads; what is no address stays as it is, and is none to `parsed`."""
    try:
        return urljoin(base, target)
    except ValueError:
        return target


def parsed(text: str) -> URL:
    """Raises CallerError where it is no address that can be fetched."""
    if _NOT_SENT.search(text):
        raise _invalid("it has blanks or control characters in it")
    try:
        url = URL(text)
        port = url.port
    except ValueError as error:
        raise _invalid(str(error)) from error
    if url.scheme not in _USUAL:
        raise _invalid("it has to begin with http:// or https://")
    if not url.raw_host or port is None:
        raise _invalid("it names no host")
    if url.user is not None or url.password is not None:
        raise _invalid("it has a name or a password in it")
    if len(str(url)) > _URL_CHARS_MAX:
        raise _invalid("it is too long")
    return url.with_fragment(None)


def _invalid(why: str) -> CallerError:
    message = f"the address cannot be fetched: {why}"
    return CallerError(errors.ERROR_REASON_URL_INVALID, message, field="url")
