"""Who may register as which host. An open control, which asks nobody for a token, takes anybody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tandem.control.v1 import errors_pb2 as errors
from tandem.control.v1 import registration_pb2 as nouns
from tandemkit.core.clock import Clock
from tandemkit.core.errors import CallerError
from tandemkit.core.token import Token
from tandemkit.hosting.vouching import HEADER, Metadata, NotVouched, check, shown_in


class Admission:
    """`key` is what vouches; None where nobody has to."""

    def __init__(self, key: Token | None, clock: Clock) -> None:
        self._key, self._clock = key, clock

    def of(self, metadata: Metadata | None) -> Admitted:
        """What the caller of a stream may register. Raises CallerError."""
        if self._key is None:
            return Admitted(None)
        with _refusing():
            return Admitted(shown_in(metadata, self._key, self._clock.now()))

    def shown(self, credential: bytes) -> Admitted:
        """The same, by a credential that came on the stream."""
        return self.of(((HEADER, credential),))


class Admitted:
    """One caller, for as long as its stream: a credential that expires meanwhile has done."""

    def __init__(self, said: nouns.HostCredential | None) -> None:
        self._said = said

    def check(self, host: nouns.Host) -> None:
        """Raises CallerError where the caller may not register that."""
        if self._said is not None:
            with _refusing():
                check(self._said, host)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except NotVouched as error:
        reason = errors.ERROR_REASON_HOST_NOT_VOUCHED
        raise CallerError(reason, error.message, **error.metadata) from error
