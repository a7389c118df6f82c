"""Who may do what in which namespace. Agents that keep content ask here at the top of each call:
`access.check(request.namespace, Right.READ)`. docs/design/tenancy.md.

Each process decides by its own copy of the rules, so asking costs no call and goes on while control
is away.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from tandem.memory.v1 import errors_pb2 as errors
from tandem.memory.v1 import namespace_pb2 as nouns
from tandemkit.core.caller_key import CallerKey
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.rpc.callers import AGENTS, CALLERS, OPERATOR, caller
from tandemkit.rpc.current import SERVING
from tandemkit.storage.subjects import DEFAULT_NAMESPACE

__all__ = ["Reasons", "Right", "Rules", "caller", "check", "check_fleet", "check_named"]
# The agents that ask. Each asks for its own callers, and calls the others as itself.
KEEPERS = f"{AGENTS}memory-"
# These ask for their own callers too: the first only read, the others write what they are told to.
READERS = f"{AGENTS}models-", f"{AGENTS}gateway-kserve"
WRITERS = f"{AGENTS}language-"
# Of namespaces without rules of their own, until the fleet says otherwise.
UNRULED = (nouns.AccessRule(callers=[f"{AGENTS}*"], right=nouns.RIGHT_WRITE),)
_RETRY_S = 0.5
_KNOWN_MAX = 10_000


class Right(IntEnum):
    """Each includes those before it."""

    NONE = nouns.RIGHT_UNSPECIFIED
    READ = nouns.RIGHT_READ
    WRITE = nouns.RIGHT_WRITE
    OWN = nouns.RIGHT_OWN


class Reasons(NamedTuple):
    """What a family calls its refusals: those of NAMESPACE_FORBIDDEN and RULES_UNKNOWN."""

    forbidden: int
    unknown: int


# Those of tandem.memory.v1. Where the numbers differ, a family says its own.
MEMORY: Final = Reasons(errors.ERROR_REASON_NAMESPACE_FORBIDDEN, errors.ERROR_REASON_RULES_UNKNOWN)


class Rules:
    """Those of one record. `record` is None while nobody has told any."""

    def __init__(self, record: nouns.AccessRecord | None) -> None:
        self.is_known = record is not None
        record = record or nouns.AccessRecord()
        self._own = {one.name.partition("/")[2]: list(one.rules) for one in record.namespaces}
        self.unruled = (list(record.unruled) or list(UNRULED)) if self.is_known else []
        self._revoked = {one.caller: one.before_time.seconds for one in record.revoked}
        self._found: dict[tuple[str, str], Right] = {}

    def right(self, who: str, namespace: str) -> Right:
        """The highest that the caller has there."""
        if who == OPERATOR or who.startswith(KEEPERS):
            return Right.OWN
        found = self._found.get((who, namespace))
        if found is None:
            rules = self._own.get(namespace, self.unruled)
            fitting = (rule.right for rule in rules if _fits(who, rule))
            found = Right(max(fitting, default=Right.NONE))
            if who.startswith((*READERS, WRITERS)):
                found = max(found, Right.WRITE if who.startswith(WRITERS) else Right.READ)
            if len(self._found) >= _KNOWN_MAX:
                self._found.clear()
            self._found[who, namespace] = found
        return found

    def refuses(self, key: CallerKey) -> str:
        """As `tandemkit.rpc.callers.Rules` asks."""
        if key.issued_s < self._revoked.get(f"{CALLERS}{key.name}", 0):
            return (
                "the caller's key was revoked; have another one made by `./tandem token for NAME`"
            )
        return ""


# For agents in no fleet, which have nobody to tell them any.
_NO_FLEET = Rules(nouns.AccessRecord())


def check(namespace: str, right: Right, reasons: Reasons = MEMORY) -> str:
    """The namespace by its name, where the caller has that right. Raises CallerError
    NAMESPACE_FORBIDDEN, and TransientError RULES_UNKNOWN where the fleet has told no rules yet.
    """
    namespace, who = namespace or DEFAULT_NAMESPACE, caller()
    if who == OPERATOR:
        return namespace
    rules = _rules()
    if rules.right(who, namespace) >= right:
        return namespace
    raise _forbidden(rules, who, (namespace, right), reasons)


def check_named(name: str, right: Right) -> str:
    """The same for a thing that is called `namespaces/{namespace}/...`; what is called otherwise is
    of a namespace that there cannot be.
    """
    collection, _, rest = name.partition("/")
    namespace = rest.partition("/")[0] if collection == "namespaces" else ""
    return check(namespace or "-", right)


def check_fleet(reasons: Reasons = MEMORY) -> None:
    """For what belongs to no namespace: the operator and the family's agents have it. Raises as
    `check` does.
    """
    who = caller()
    if who != OPERATOR and not who.startswith(KEEPERS):
        raise _forbidden(_rules(), who, ("", Right.OWN), reasons)


def _rules() -> Rules:
    current = SERVING.get()
    rules = current.callers.rules if current is not None else None
    return rules if isinstance(rules, Rules) else _NO_FLEET


def _forbidden(
    rules: Rules, who: str, needed: tuple[str, Right], reasons: Reasons
) -> CallerError | TransientError:
    if not rules.is_known:
        said = "no control has told yet who may do what"
        return TransientError(reasons.unknown, said, retry_after_s=_RETRY_S)
    namespace, right = needed
    return CallerError(
        reasons.forbidden,
        "the caller has not the right that the call needs; whoever owns the namespace gives it by "
        "its rules",
        caller=who,
        namespace=namespace,
        right=right.name,
    )


def _fits(who: str, rule: nouns.AccessRule) -> bool:
    return any(_matches(who, pattern) for pattern in rule.callers)


def _matches(who: str, pattern: str) -> bool:
    """Not by a regular expression: some take ages, and whoever owns a namespace writes them."""
    first, *middle = pattern.split("*")
    if not middle:
        return who == first
    last = middle.pop()
    at, end = len(first), len(who) - len(last)
    if not who.startswith(first) or not who.endswith(last) or at > end:
        return False
    for part in middle:
        found = who.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
