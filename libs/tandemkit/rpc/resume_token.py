"""What a stream says of how far it has come, so that it can go on behind a cut: at any replica, and
at one that was not there yet. docs/design/models.md#streams-that-survive.

A token proves nothing to whom it is shown: all that is in it is compared with what is made anew.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import Message

FIELD: Final = "resume_token"
_DIGEST_BYTES: Final = 16
# Version, whether the stream is over, what was asked, how much was delivered, and its digest.
_FORM: Final = struct.Struct(f">B?{_DIGEST_BYTES}sQ{_DIGEST_BYTES}s")
_VERSION: Final = 1


class TokenInvalid(ValueError):
    """No stream gave it out for this request."""


class Differs(Exception):
    """What is told now is not what was told before."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A token, read: `chars` were delivered. `pinned` are bytes of whoever gave it out."""

    asked: bytes
    chars: int
    digest: bytes
    pinned: bytes
    is_over: bool = False

    @property
    def token(self) -> str:
        said = _FORM.pack(_VERSION, self.is_over, self.asked, self.chars, self.digest)
        return base64.urlsafe_b64encode(said + self.pinned).rstrip(b"=").decode()


def read(token: str, request: Message) -> Mark:
    """What the token of that request says. Raises TokenInvalid."""
    try:
        said = base64.urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4))
        version, is_over, asked, chars, digest = _FORM.unpack_from(said)
    except (binascii.Error, struct.error, ValueError) as error:
        raise TokenInvalid("it is no token") from error
    if version != _VERSION:
        raise TokenInvalid("it is a token of another version")
    if asked != digest_of(request):
        raise TokenInvalid("it is the token of another request")
    return Mark(asked, chars, digest, said[_FORM.size :], is_over)


def digest_of(request: Message) -> bytes:
    """Of all that is asked but the token."""
    plain = request
    if getattr(request, FIELD):
        plain = type(request)()
        plain.CopyFrom(request)
        plain.ClearField(FIELD)
    return _cut(hashlib.sha256(plain.SerializeToString(deterministic=True)))


class Course:
    """One stream: what was delivered, as a text that says all of it. Behind a mark, as much as that
    says is compared and not delivered again.
    """

    __slots__ = ("_asked", "_behind", "_chars", "_hash", "_pinned")

    def __init__(self, asked: bytes, pinned: bytes, behind: Mark | None = None) -> None:
        self._asked, self._pinned, self._behind = asked, pinned, behind
        self._chars, self._hash = 0, hashlib.sha256()

    def known(self, told: str) -> int:
        """How much of what is told next was delivered before. Raises Differs."""
        behind = self._behind
        if behind is None or self._chars >= behind.chars:
            return 0
        return min(len(told), behind.chars - self._chars)

    def tell(self, told: str) -> None:
        """It is delivered, or was. Raises Differs where that was something else."""
        behind, chars = self._behind, self._chars + len(told)
        if behind is not None and self._chars < behind.chars <= chars:
            at = behind.chars - self._chars
            self._hash.update(told[:at].encode(errors="surrogatepass"))
            if _cut(self._hash) != behind.digest:
                raise Differs
            told = told[at:]
        self._hash.update(told.encode(errors="surrogatepass"))
        self._chars = chars

    def end(self) -> None:
        """Nothing more is told. Raises Differs where more was."""
        if self._behind is not None and self._chars < self._behind.chars:
            raise Differs

    def token(self, *, is_over: bool = False, pinned: bytes | None = None) -> str:
        """Goes on behind all that was told; `pinned` in place of what the stream began with."""
        kept = self._pinned if pinned is None else pinned
        return Mark(self._asked, self._chars, _cut(self._hash), kept, is_over).token


def _cut(found: hashlib._Hash) -> bytes:
    return found.digest()[:_DIGEST_BYTES]
