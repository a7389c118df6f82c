"""What a contract demands of a value: protovalidate's rules, as far as a schema can use them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.descriptor_pb2 import FieldOptions, MessageOptions, OneofOptions
from google.protobuf.message import Message

from buf.validate import validate_pb2 as validate
from tandemkit.written.json_schema.patterns import takes_nothing

Said = Mapping[str, Any]
# Of strings: no value of such a form is empty.
FORMATS = {
    "email": "email",
    "hostname": "hostname",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "uri": "uri",
    "uuid": "uuid",
}
_HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    "const": lambda value, said: bool(value == said),
    "gte": lambda value, said: bool(value >= said),
    "gt": lambda value, said: bool(value > said),
    "lte": lambda value, said: bool(value <= said),
    "lt": lambda value, said: bool(value < said),
    "in": lambda value, said: value in said,
    "not_in": lambda value, said: value not in said,
    "len": lambda value, said: len(value) == said,
    "len_bytes": lambda value, said: len(value) == said,
    "min_len": lambda value, said: len(value) >= said,
    "min_bytes": lambda value, said: len(value) >= said,
    "min_items": lambda value, said: len(value) >= said,
    "min_pairs": lambda value, said: len(value) >= said,
    "prefix": lambda value, said: bool(value.startswith(said)),
    "suffix": lambda value, said: bool(value.endswith(said)),
    "contains": lambda value, said: said in value,
    "not_contains": lambda value, said: said not in value,
    # Asked of zeros alone.
    "pattern": lambda _value, said: takes_nothing(said),
} | {name: lambda _value, said: not said for name in FORMATS}


@dataclass(frozen=True)
class Rules:
    """Those of one value."""

    kind: str = ""
    said: Said = field(default_factory=dict)
    is_required: bool = False
    # They do not hold for the type's zero.
    spare_zero: bool = False
    # What rules in CEL say of themselves.
    sentences: tuple[str, ...] = ()

    @classmethod
    def of(cls, rule: Any) -> Rules:
        if rule.ignore == validate.IGNORE_ALWAYS:
            return cls()
        kind = rule.WhichOneof("type") or ""
        said = {one.name: value for one, value in getattr(rule, kind).ListFields()} if kind else {}
        said.pop("example", None)
        spares = rule.ignore == validate.IGNORE_IF_ZERO_VALUE
        return cls(kind, said, rule.required, spares, _of_cel(rule))

    def below(self, name: str) -> Rules:
        """Those of a list's `items`, or of a map's `keys` or `values`."""
        return Rules.of(self.said[name]) if name in self.said else Rules()

    def refuse(self, zero: Any) -> bool:
        """Whether leaving a field without presence away breaks a rule: it is its zero then."""
        if self.is_required or self.spare_zero:
            return self.is_required
        if self.is_outside:
            return not any(_HOLDS[name](zero, said) for name, said in self.said.items())
        return not all(
            _HOLDS[name](zero, said) for name, said in self.said.items() if name in _HOLDS
        )

    @property
    def is_outside(self) -> bool:
        """A range that ends before it begins means what is not between the two."""
        low = self.said.get("gte", self.said.get("gt", -math.inf))
        high = self.said.get("lte", self.said.get("lt", math.inf))
        return not isinstance(low, Message) and not isinstance(high, Message) and low > high

    def numbers(self, kind: EnumDescriptor) -> list[int] | None:
        """The values of an enum that may be given; None where any may, also an unknown one."""
        said = self.said if self.kind == "enum" else {}
        if not said and not self.is_required:
            return None
        known = [one.number for one in kind.values if one.number or not self.is_required]
        tests = [(_HOLDS[name], value) for name, value in said.items() if name in _HOLDS]
        return [number for number in known if all(test(number, value) for test, value in tests)]


def of_field(kind: FieldDescriptor) -> Rules:
    """Read anew with the stubs: protovalidate's options are unknown in a pool that was told."""
    options: Any = FieldOptions.FromString(kind.GetOptions().SerializeToString())
    return Rules.of(options.Extensions[validate.field])


def of_message(kind: Descriptor) -> tuple[str, ...]:
    """What its rules over several fields say."""
    options: Any = MessageOptions.FromString(kind.GetOptions().SerializeToString())
    rule = options.Extensions[validate.message]
    chosen = [
        f"{'exactly' if one.required else 'at most'} one of " + ", ".join(one.fields)
        for one in rule.oneof
    ]
    return (*_of_cel(rule), *(f"Rule: {one}." for one in chosen))


def must_choose(kind: OneofDescriptor) -> bool:
    options: Any = OneofOptions.FromString(kind.GetOptions().SerializeToString())
    return bool(options.Extensions[validate.oneof].required)


def _of_cel(rule: Any) -> tuple[str, ...]:
    said = [one.message or one.expression for one in rule.cel]
    return tuple(f"Rule: {text}." for text in [*said, *rule.cel_expression])
