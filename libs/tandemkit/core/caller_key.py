"""Keys of callers that have not the fleet's token: a name and two times, signed with the token, so
that no list of them is kept, and none outlives it.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from tandemkit.core.token import Token

# No token has a dot.
PREFIX = "tandem-key."
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
# What else the token may sign is never taken for this.
_PURPOSE = b"tandem.CallerKey\0"


@dataclass(frozen=True, slots=True)
class CallerKey:
    """Who has it, and from when to when it is taken, in seconds since the epoch."""

    name: str
    issued_s: int
    expires_s: int

    def signed(self, token: Token) -> str:
        """As a call shows it. Raises ValueError for what is no name."""
        if _NAME.fullmatch(self.name) is None:
            raise ValueError("a caller's name is lower-case letters, digits and hyphens")
        said = f"{PREFIX}{self.name}.{self.issued_s}.{self.expires_s}"
        return f"{said}.{_text(token.sign(_PURPOSE + said.encode()))}"


def read(text: str) -> CallerKey | None:
    """What it says, whoever signed it; None where it is no key."""
    try:
        _prefix, name, issued, expires, _mac = text.split(".")
        return CallerKey(name, int(issued), int(expires)) if _NAME.fullmatch(name) else None
    except ValueError:
        return None


def is_signed(text: str, token: Token) -> bool:
    """Whether it is whole, and a holder of the token signed it."""
    said, _, mac = text.rpartition(".")
    try:
        shown = base64.urlsafe_b64decode(f"{mac}=")
    except (binascii.Error, ValueError):
        return False
    # Reading passes over what is no letter of base64, and over the last bits.
    return mac == _text(shown) and token.has_signed(_PURPOSE + said.encode(), shown)


def _text(mac: bytes) -> str:
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")
