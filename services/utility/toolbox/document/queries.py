"""JSONPath queries (RFC 9535) whose cost is counted while they run."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, SupportsIndex, cast

from iregexp_check import check
from jsonpath_rfc9535 import JSONPathEnvironment, JSONPathQuery
from jsonpath_rfc9535.exceptions import JSONPathError
from jsonpath_rfc9535.function_extensions import ExpressionType, FilterFunction

from services.utility.toolbox.document.patterns import Patterns, iregexp_as_re2
from services.utility.toolbox.document.values import Budget, Value
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

# Filter functions are made once for all queries, so what belongs to one call reaches them here.
_patterns: ContextVar[Patterns] = ContextVar("patterns")


@dataclass(frozen=True, slots=True)
class Node:
    """A selected value and its normalized path."""

    path: str
    value: Value


def select(document: Value, query: str, patterns: Patterns, budget: Budget) -> Iterator[Node]:
    """The nodes that a query selects, lazily; each step over the document is charged."""
    token = _patterns.set(patterns)
    try:
        compiled = _compiled(query)
        for node in compiled.finditer(cast("Any", _metered(document, budget))):
            yield Node(node.path(), cast("Value", node.value))
    except (JSONPathError, RecursionError) as refused:
        raise _refusal(refused) from refused
    finally:
        _patterns.reset(token)


def _compiled(query: str) -> JSONPathQuery:
    return _ENVIRONMENT.compile(query)


class _MeteredObject(dict[str, Any]):
    """An object that charges for every walk over its members."""

    budget: Budget

    def items(self) -> Any:
        self.budget.spend(1 + len(self))
        return super().items()

    def __getitem__(self, name: str) -> Any:
        self.budget.spend()
        return super().__getitem__(name)


class _MeteredArray(list[Any]):
    """An array that charges for every walk over its items."""

    budget: Budget

    def __iter__(self) -> Iterator[Any]:
        self.budget.spend(1 + len(self))
        return super().__iter__()

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        found = super().__getitem__(index)
        self.budget.spend(1 + (len(found) if isinstance(index, slice) else 0))
        return found


def _metered(value: Value, budget: Budget) -> Value:
    """A copy that charges `budget`: the library cannot be told to stop, but its values can."""
    match value:
        case dict():
            members = _MeteredObject((name, _metered(item, budget)) for name, item in value.items())
            members.budget = budget
            return members
        case list():
            items = _MeteredArray(_metered(item, budget) for item in value)
            items.budget = budget
            return items
    return value


class _Regexp(FilterFunction):
    """`match` and `search` on RE2. What is no I-Regexp matches nothing, as RFC 9535 has it."""

    arg_types: Final = [ExpressionType.VALUE, ExpressionType.VALUE]
    return_type = ExpressionType.LOGICAL

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole

    def __call__(self, text: object, pattern: object) -> bool:
        if not isinstance(text, str) or not isinstance(pattern, str) or not check(pattern):
            return False
        return _patterns.get().matches(iregexp_as_re2(pattern), text, whole=self._whole)


class _Environment(JSONPathEnvironment):
    """RFC 9535 and nothing more."""

    def setup_function_extensions(self) -> None:
        super().setup_function_extensions()
        self.function_extensions["match"] = _Regexp(whole=True)
        self.function_extensions["search"] = _Regexp(whole=False)


_ENVIRONMENT: Final = _Environment()


def _refusal(refused: Exception) -> CallerError:
    deep = isinstance(refused, RecursionError)
    return CallerError(
        errors.ERROR_REASON_QUERY_INVALID,
        "the query is not JSONPath",
        field="query",
        explanation="it is nested too deeply" if deep else str(refused)[:200],
    )
