"""Who makes the call that is being served: the operator, an agent of the fleet, or somebody with a
key of their own. docs/design/tenancy.md says what each may.
"""

from __future__ import annotations

from typing import Protocol

from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.core import caller_key
from tandemkit.core.caller_key import CallerKey
from tandemkit.core.clock import Clock, SystemClock
from tandemkit.core.token import HEADER as TOKEN_HEADER
from tandemkit.core.token import Token
from tandemkit.rpc import failure
from tandemkit.rpc.current import SERVING, Current
from tandemkit.rpc.failure import Refusal

# Says who calls, where the call shows the fleet's token too: whoever has that may say any name.
HEADER = "x-tandem-caller"
OPERATOR = "operator"
AGENTS, CALLERS = "agents/", "callers/"
# Exactly so: what is written otherwise is taken for a token, and is none.
BEARER_OF_KEY = f"Bearer {caller_key.PREFIX}"
_BEARER = len("Bearer ")
_ANOTHER = "have another one made by `./tandem token for NAME`"
# Whoever calls what is public need not have shown anything.
_ANYBODY = "anybody"


class Rules(Protocol):
    """What a server's agents decide by, of callers: `tandemkit.hosting.access` has them."""

    def refuses(self, key: CallerKey) -> str:
        """Why a key that is signed and in time is not taken, in words; empty where it is."""


class Callers:
    """Of one server: whose keys are taken, and the rules that its agents ask, where there are."""

    def __init__(self, token: Token | None, clock: Clock | None = None) -> None:
        self.rules: Rules | None = None
        self._token, self._clock = token, clock or SystemClock()

    def refusal(self, bearer: str, *, is_asked: bool) -> Refusal | None:
        """Why a call that shows a key may not pass; None where it may."""
        if wrong := self._wrong(bearer[_BEARER:]):
            return failure.of_platform(platform.PLATFORM_ERROR_REASON_KEY_REFUSED, wrong)
        if not is_asked:
            return failure.of_platform(
                platform.PLATFORM_ERROR_REASON_KEY_NOT_ENOUGH,
                "a caller's key opens only services that ask who calls, and this is none of them; "
                "it needs the fleet's token",
            )
        return None

    def _wrong(self, shown: str) -> str:
        key, token, rules = caller_key.read(shown), self._token, self.rules
        if key is None or (token is not None and not caller_key.is_signed(shown, token)):
            return f"the caller's key is not signed with this fleet's token of now; {_ANOTHER}"
        if key.expires_s <= self._clock.now().timestamp():
            return f"the caller's key has expired; {_ANOTHER}"
        return rules.refuses(key) if rules is not None else ""


def caller() -> str:
    """The name of whoever calls: `operator`, `agents/...` or `callers/...`. Outside of a call, of
    the process itself, which holds the token.
    """
    current = SERVING.get()
    return OPERATOR if current is None else of(current)


def of(current: Current) -> str:
    """The same, of one call. The gate has let it in, so its key is sound."""
    if current.method.public:
        return _ANYBODY
    said = ""
    for key, value in current.context.invocation_metadata() or ():
        if key == TOKEN_HEADER and str(value).startswith(BEARER_OF_KEY):
            return CALLERS + str(value)[len(BEARER_OF_KEY) :].partition(".")[0]
        if key == HEADER:
            said = str(value)
    return said or OPERATOR
