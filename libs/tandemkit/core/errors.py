"""The three ways in which a call fails. Free of transport: one place in `tandemkit.rpc` gives them
a wire form.
"""

from __future__ import annotations


class Failure(Exception):
    """A failure that its raiser understood. `message` is a constant sentence; all that varies is
    metadata.
    """

    def __init__(self, message: str, **metadata: object) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = {key: str(value) for key, value in metadata.items()}

    def __str__(self) -> str:
        fields = ", ".join(f"{key}={value!r}" for key, value in self.metadata.items())
        return f"{self.message} ({fields})" if fields else self.message

    def __reduce__(self) -> tuple[object, ...]:
        """As it crosses from one process to another: initializers ask for more than `args` has."""
        return _restored, (type(self), self.args, self.__dict__)


class CallerError(Failure):
    """The caller asked for something that cannot be done; the same call will fail again.

    `reason` is a value of the family's `ErrorReason`, whose option gives the canonical code.
    `field` names the request's field that is at fault, where there is one.
    """

    def __init__(self, reason: int, message: str, *, field: str = "", **metadata: object) -> None:
        super().__init__(message, **metadata)
        self.reason = reason
        self.field = field


class TransientError(Failure):
    """It did not work now and may work after `retry_after_s`."""

    def __init__(
        self, reason: int, message: str, *, retry_after_s: float, **metadata: object
    ) -> None:
        super().__init__(message, **metadata)
        self.reason = reason
        self.retry_after_s = retry_after_s


class TriedError(TransientError):
    """It was tried again here: whoever calls would multiply the attempts."""


class Bug(Failure):
    """We broke a promise that we gave ourselves. The caller learns an incident id alone."""


def _restored(
    kind: type[Failure], arguments: tuple[object, ...], state: dict[str, object]
) -> Failure:
    made = kind.__new__(kind, *arguments)
    made.args = arguments
    made.__dict__.update(state)
    return made
