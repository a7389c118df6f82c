"""The fleet's token: a secret in a file that only its user can read, and that every call shows.

docs/design/safety.md says whom it keeps out, and how it is changed.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest, digest
from pathlib import Path

from tandemkit.core import dumps
from tandemkit.core.clock import Clock, SystemClock
from tandemkit.core.errors import Failure
from tandemkit.core.lock import alone

HEADER = "authorization"
FILE_NAME = "token"
# Names the file to clients that know nothing of TANDEM_HOME.
FILE_VARIABLE = "TANDEM_TOKEN_FILE"
# How long the token before is still taken after a change, unless somebody says otherwise.
GRACE_S = 600.0
# How often whoever holds a token looks for a new one; it is also looked for when one is refused.
LOOK_S = 5.0
_BYTES = 32
_FORM = re.compile(r"[A-Za-z0-9_-]{43,512}")
_FILE_BYTES_MAX = 4096
# Tokens of before that are kept: whoever changes it more often within the grace cuts somebody off.
_BEFORE_MAX = 8
_SCHEME = "bearer "
_CLOCK = SystemClock()


class TokenRefused(Failure):
    """The file cannot be trusted, or is not there; the message says what to do."""


@dataclass(frozen=True, slots=True)
class _Before:
    """A token that was in force once, and until when it is taken still."""

    text: str
    until: datetime


class Token:
    """What the file says, for those who send it and those who ask for it, read again every LOOK_S.
    Only `header` and `bearer` show it.
    """

    __slots__ = ("_before", "_clock", "_expected", "_header", "_look_s", "_seen", "path")

    def __init__(self, path: Path, clock: Clock = _CLOCK) -> None:
        """Raises TokenRefused."""
        dumps.forbid()
        self.path, self._clock = path, clock
        self._seen: tuple[tuple[int, ...], ...] = ()
        self._before: tuple[_Before, ...] = ()
        self.look()

    @property
    def header(self) -> tuple[str, str]:
        """What a call shows, as metadata."""
        self._look_now_and_then()
        return self._header

    @property
    def bearer(self) -> str:
        """The value of that header."""
        return self.header[1]

    @classmethod
    def kept(cls, path: Path, clock: Clock = _CLOCK) -> Token:
        """The token in `path`, which is made by whoever comes first. Raises TokenRefused."""
        if not path.exists():
            try:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with suppress(FileExistsError):
                    _write(path, _made(), os.link)
            except OSError as error:
                why = error.strerror or "unknown"
                raise TokenRefused(f"the token cannot be kept: {why}", file=path) from error
        return cls(path, clock)

    def __repr__(self) -> str:
        return f"Token({str(self.path)!r})"

    def __reduce__(self) -> str:
        raise TypeError("a token is read from its file, not copied")

    def look(self) -> None:
        """Takes over what was written to the file since. Raises TokenRefused, and then stays as it
        was.
        """
        self._look_s = self._clock.monotonic_s() + LOOK_S
        seen = _identity(self.path), _identity(_path_before(self.path))
        if seen == self._seen:
            return
        text = _read(self.path)
        self._before = _read_before(_path_before(self.path))
        self._header = HEADER, f"Bearer {text}"
        self._expected = self._header[1].encode()
        self._seen = seen

    def opens(self, shown: str | bytes) -> bool:
        """Whether that is the value of the header that a call needs. Runs for every call."""
        self._look_now_and_then()
        value = shown.encode() if isinstance(shown, str) else shown
        return compare_digest(value, self._expected) or self._opens_now(value)

    def sign(self, text: bytes) -> bytes:
        """What only a holder of the secret can make of `text`, and can tell."""
        return digest(self.bearer.encode(), text, "sha256")

    def has_signed(self, text: bytes, mac: bytes) -> bool:
        """Whether a holder made `mac` of `text`, with the secret of now or of just before."""
        self._look_now_and_then()
        if compare_digest(digest(self._expected, text, "sha256"), mac):
            return True
        with suppress(TokenRefused):
            self.look()
        known = [f"Bearer {one}".encode() for one in self._in_force()]
        return any(compare_digest(digest(one, text, "sha256"), mac) for one in known)

    def rotate(self, grace_s: float = GRACE_S) -> None:
        """Puts a new token in its place; the present one is taken for `grace_s` longer, and those
        before it no longer than that. Raises InUse while somebody else does the same.
        """
        with alone(self.path.with_name(f"{self.path.name}.lock")):
            self.look()
            until = self._clock.now() + timedelta(seconds=grace_s)
            present = _Before(self.bearer.partition(" ")[2], until)
            earlier = [_Before(one.text, min(one.until, until)) for one in self._before]
            kept = [present, *earlier][:_BEFORE_MAX]
            lines = "\n".join(f"{one.text} {one.until.isoformat()}" for one in kept)
            _write(_path_before(self.path), lines, os.replace)
            _write(self.path, _made(), os.replace)
            self.look()

    def _look_now_and_then(self) -> None:
        """A file that is lost or spoiled changes nothing."""
        if self._clock.monotonic_s() >= self._look_s:
            with suppress(TokenRefused):
                self.look()

    def _opens_now(self, value: bytes) -> bool:
        """For what is not the expected bytes: a token of just now or of just before, or another way
        to write it.
        """
        with suppress(TokenRefused):
            self.look()
        scheme, text = value[: len(_SCHEME)], value[len(_SCHEME) :].strip()
        if scheme.lower() != _SCHEME.encode():
            return False
        return any(compare_digest(text, one.encode()) for one in self._in_force())

    def _in_force(self) -> list[str]:
        """The token, and those before it whose time is not over."""
        now = self._clock.now()
        earlier = [one.text for one in self._before if now < one.until]
        return [self._header[1].partition(" ")[2], *earlier]


def _made() -> str:
    return secrets.token_urlsafe(_BYTES)


def _path_before(path: Path) -> Path:
    return path.with_name(f"{path.name}.before")


def _identity(path: Path) -> tuple[int, ...]:
    """Changes whenever the file does; empty where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode, found.st_uid


def _read(path: Path) -> str:
    text = _content(path)
    if _FORM.fullmatch(text) is None:
        raise TokenRefused(
            "the file does not hold a token; delete it, and the next ./tandem up makes one",
            file=path,
        )
    return text


def _read_before(path: Path) -> tuple[_Before, ...]:
    """None where the file cannot be read: it is a convenience, and the token itself is at hand."""
    found = []
    with suppress(TokenRefused, ValueError):
        for line in _content(path).splitlines():
            text, _, until = line.partition(" ")
            found.append(_Before(text, datetime.fromisoformat(until)))
    return tuple(found)


def _content(path: Path) -> str:
    """Of a file that nobody but its owner, which is us, can read or change."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        message = "there is no token; ./tandem up makes one, or copy the fleet's here with mode 600"
        raise TokenRefused(message, file=path) from error
    except OSError as error:
        why = error.strerror or "unreadable"
        raise TokenRefused(f"the token cannot be read: {why}", file=path) from error
    try:
        _check(path, os.fstat(number))
        return os.read(number, _FILE_BYTES_MAX).decode(errors="replace").strip()
    finally:
        os.close(number)


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise TokenRefused("the token has to be a file of its own", file=path)
    if found.st_uid != os.geteuid():
        raise TokenRefused(
            "the token's file belongs to another user, who knows it; delete it, and the next "
            "./tandem up makes one",
            file=path,
            owner=found.st_uid,
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise TokenRefused(
            "others than you may read or change the token's file; if nobody has, chmod 600 it, "
            "else delete it, and the next ./tandem up makes one",
            file=path,
            mode=f"{stat.S_IMODE(found.st_mode):o}",
        )


def _write(path: Path, text: str, place: Callable[[str, Path], None]) -> None:
    """Whole or not at all: `place` puts it where it belongs when all of it is on the disk."""
    number, made = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(number)
        place(made, path)
    finally:
        Path(made).unlink(missing_ok=True)
