"""JSON Schema, draft 2020-12, with the keywords whose cost a hostile schema could inflate redone.

Every keyword applied is charged to the call's budget, so references that fan out end there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError
from jsonschema_specifications import REGISTRY
from referencing.exceptions import Unresolvable

from services.utility.toolbox.document.canonical import number
from services.utility.toolbox.document.patches import pointer
from services.utility.toolbox.document.patterns import Patterns
from services.utility.toolbox.document.values import Budget, Value, dump, node_count
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

Errors = Iterator[ValidationError]
Keyword = Callable[[Any, Any, Any, Any], Errors | None]

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_DESCRIPTION_CODE_POINTS_MAX: Final = 500
_CHARACTERS_PER_STEP: Final = 64
# Four frames each, of the thousand that Python has.
_NESTING_MAX: Final = 160


@dataclass(frozen=True, slots=True)
class Violation:
    """One place where a document does not conform."""

    instance_pointer: str
    schema_pointer: str
    keyword: str
    description: str


@dataclass(slots=True)
class _Call:
    """What one validation may spend. Keywords are functions of the library's shape, so it reaches
    them by a context variable.
    """

    budget: Budget
    patterns: Patterns
    nesting: int = 0

    @contextmanager
    def nested(self) -> Iterator[None]:
        """One more keyword inside a keyword. The interpreter's own limit must never be met: native
        code on the way panics there.
        """
        self.nesting += 1
        try:
            if self.nesting > _NESTING_MAX:
                raise _refusal("the schema nests too deeply, or refers to itself", "$ref")
            yield
        finally:
            self.nesting -= 1


_call: ContextVar[_Call] = ContextVar("validation")


def violations(
    document: Value, schema: Value, patterns: Patterns, budget: Budget
) -> Iterator[Violation]:
    """The violations as they are found; raises SCHEMA_INVALID for a schema that cannot be used."""
    token = _call.set(_Call(budget, patterns))
    try:
        _check_schema(schema)
        for error in _Validator(schema, registry=REGISTRY).iter_errors(document):
            yield _violation(error)
    except Unresolvable as refused:
        raise _refusal("a reference leads out of the schema", "$ref", refused.ref) from refused
    except ValueError as refused:
        raise _refusal("an identifier is no URI", "$id") from refused
    finally:
        _call.reset(token)


def _check_schema(schema: Value) -> None:
    if isinstance(schema, dict) and schema.get("$schema", DRAFT) not in (DRAFT, f"{DRAFT}#"):
        raise _refusal("the schema is of another draft", "$schema")
    for error in _Validator(Draft202012Validator.META_SCHEMA, registry=REGISTRY).iter_errors(
        schema
    ):
        found = _violation(error)
        raise _refusal(found.description, found.keyword, found.instance_pointer)


def _violation(error: ValidationError) -> Violation:
    return Violation(
        instance_pointer=pointer(error.absolute_path),
        schema_pointer=pointer(error.absolute_schema_path),
        keyword=str(error.validator),
        description=error.message[:_DESCRIPTION_CODE_POINTS_MAX],
    )


def _charged(keyword: Keyword) -> Keyword:
    """Charges for the keyword's own loops before it runs, and for each message after."""

    def charged(validator: Any, value: Any, instance: Any, schema: Any) -> Errors:
        call = _call.get()
        call.budget.spend(1 + (len(value) if isinstance(value, dict | list) else 0))
        with call.nested():
            for error in keyword(validator, value, instance, schema) or ():
                call.budget.spend(1 + len(error.message) // _CHARACTERS_PER_STEP)
                yield error

    return charged


def _weighed(keyword: Keyword) -> Keyword:
    """For keywords that compare with whole values: those are charged with all that is in them."""

    def weighed(validator: Any, value: Any, instance: Any, schema: Any) -> Errors:
        _call.get().budget.spend(node_count(value))
        yield from keyword(validator, value, instance, schema) or ()

    return weighed


def _searching(keyword: Keyword) -> Keyword:
    """For references by anchor, which are looked for in the whole schema."""

    def searching(validator: Any, value: Any, instance: Any, schema: Any) -> Errors:
        if not value.startswith("#/"):
            _call.get().budget.spend(len(schema))
        yield from keyword(validator, value, instance, schema) or ()

    return searching


def _pattern(validator: Any, pattern: str, instance: Any, _schema: Any) -> Errors:
    if validator.is_type(instance, "string") and not _matches(pattern, instance):
        yield ValidationError(f"{instance[:100]!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, _schema: Any
) -> Errors:
    if not validator.is_type(instance, "object"):
        return
    for pattern, subschema in patterns.items():
        for name, value in instance.items():
            if _matches(pattern, name):
                yield from validator.descend(value, subschema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, additional: Any, instance: Any, schema: Any) -> Errors:
    """The library joins the patterns into one and runs it on `re`; this keeps them on RE2."""
    if not validator.is_type(instance, "object"):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, value in instance.items():
        _call.get().budget.spend()
        if name in known or any(_matches(pattern, name) for pattern in patterns):
            continue
        if additional is False:
            yield ValidationError(f"{name[:100]!r} is not among the members allowed")
        else:
            yield from validator.descend(value, additional, path=name)


def _unique_items(
    validator: Any,
    unique: Any,
    instance: Any,
    _schema: Any,
) -> Errors:
    """By one written form for each item: the library compares each with each."""
    if not unique or not validator.is_type(instance, "array"):
        return
    _call.get().budget.spend(node_count(instance))
    forms = {dump(_comparable(item)) for item in instance}
    if len(forms) < len(instance):
        yield ValidationError("the array has equal items")


def _multiple_of(validator: Any, divisor: float, instance: Any, _schema: Any) -> Errors:
    """In exact decimals, as they are written: 0.3 is a multiple of 0.1."""
    if validator.is_type(instance, "number") and _decimal(instance) % _decimal(divisor):
        yield ValidationError(f"{instance!r} is not a multiple of {divisor!r}")


def _refused(keyword: str) -> Keyword:
    def refused(_validator: Any, _value: Any, _instance: Any, _schema: Any) -> None:
        raise _refusal("the keyword is not supported", keyword)

    return refused


def _matches(pattern: str, text: str) -> bool:
    return _call.get().patterns.matches(pattern, text)


def _decimal(value: float) -> Fraction:
    return Fraction(repr(value))


def _comparable(value: Any) -> Any:
    """The same for equal values: members sorted, and 1.0 as 1."""
    match value:
        case dict():
            return {name: _comparable(value[name]) for name in sorted(value)}
        case list():
            return [_comparable(item) for item in value]
        case float():
            return int(value) if value.is_integer() else number(value)
    return value


def _refusal(explanation: str, keyword: str, pointer_or_reference: str = "") -> CallerError:
    return CallerError(
        errors.ERROR_REASON_SCHEMA_INVALID,
        "the schema cannot be used",
        field="schema",
        explanation=explanation,
        keyword=keyword,
        at=pointer_or_reference[:_DESCRIPTION_CODE_POINTS_MAX],
    )


_REDONE: Final[dict[str, Keyword]] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
    "multipleOf": _multiple_of,
    "unevaluatedItems": _refused("unevaluatedItems"),
    "unevaluatedProperties": _refused("unevaluatedProperties"),
}
_KEYWORDS: Final[dict[str, Keyword]] = {**Draft202012Validator.VALIDATORS, **_REDONE}
for _name, _wrap in {
    "enum": _weighed,
    "const": _weighed,
    "dependentRequired": _weighed,
    "$ref": _searching,
    "$dynamicRef": _searching,
}.items():
    _KEYWORDS[_name] = _wrap(_KEYWORDS[_name])

_extended: Final[Any] = validators.extend  # its stub has no types
_Validator: Final[Any] = _extended(
    Draft202012Validator, {name: _charged(keyword) for name, keyword in _KEYWORDS.items()}
)
