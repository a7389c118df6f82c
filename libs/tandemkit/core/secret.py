"""A value that shows itself to nobody who does not ask for it by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hmac import compare_digest
from typing import NoReturn, Self

from tandemkit.core import redaction
from tandemkit.core.errors import Failure

_LOOKS_SECRET = re.compile(
    r"((^|_)(API_?KEY|TOKEN|PASSPHRASE|SECRET|SECRET_ID|CREDENTIALS?"
    r"|(SECRET|PRIVATE|ACCESS|SIGNING)_KEY)|PASSWORD|PASSWD)$",
    re.IGNORECASE,
)
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class SecretMissing(Failure, ValueError):
    """No provider has it, or none was asked yet."""

    def __init__(self, *names: str) -> None:
        what = missing(*names)
        super().__init__(
            f"{what}; ./tandem secret check says where it is looked for", names=", ".join(names)
        )


class Secret:
    """`reveal` is the only way to the value. Whoever prints, formats, logs, compares or copies it
    shows or learns nothing; it cannot be pickled or turned into JSON.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        """The value is hidden in whatever this process writes from now on."""
        redaction.hide(value)
        self.__value = value

    def reveal(self) -> str:
        """The value, for whoever needs it now; it is not to be kept."""
        return self.__value

    def __repr__(self) -> str:
        return redaction.MASK

    __str__ = __repr__

    def __format__(self, _form: str) -> str:
        return redaction.MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return compare_digest(self.reveal().encode(), other.reveal().encode())

    def __hash__(self) -> int:
        raise TypeError("a secret is no key: whoever groups by it tells which are equal")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _known: object) -> Self:
        return self

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a secret is not copied to where nobody asked for it: reveal() it there")


def missing(*names: str) -> str:
    """What is said of secrets without a value, in the words that the requirements quote (R091)."""
    are_keys = all(name.endswith("api_key") for name in names)
    return f"Missing required {'API key' if are_keys else 'secret'}"


def looks_secret(variable: str) -> bool:
    """Whether a variable of an environment is called as such that hold secrets are."""
    return _LOOKS_SECRET.search(variable) is not None


def variable_of(name: str) -> str:
    """The variable of the launcher's environment that may hold it."""
    return name.upper()


def require_secret(known: Mapping[str, Secret], name: str) -> Secret:
    """The one of that name. Raises SecretMissing, which is a ValueError `Missing required ...`."""
    found = known.get(name)
    if found is None or not found.reveal():
        raise SecretMissing(name)
    return found
