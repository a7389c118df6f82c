from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from google.protobuf import descriptor_pool, json_format
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from buf.validate import validate_pb2 as rules
from tandem.control.v1.registry_service_pb2 import HoldLeaseRequest
from tandemkit.rpc import quick, validation

NUMBERED = count()
SIZES = st.none() | st.integers(0, 4)
INTS = st.integers(-5, 5)


def declare(
    *fields: tuple[int, Any], message_rule: bool = False, label: int = 1, required: bool = False
) -> Any:
    """A message class with `fields`, each a type and its rules."""
    file = FileDescriptorProto(name=f"quick_{next(NUMBERED)}.proto", syntax="proto3")
    file.package = file.name.removesuffix(".proto")
    file.dependency.extend(["buf/validate/validate.proto", "google/protobuf/duration.proto"])
    kind = file.enum_type.add(name="Kind")
    for number in range(3):
        kind.value.add(name=f"KIND_{number}", number=number)
    inner = file.message_type.add(name="Inner")
    outer = file.message_type.add(name="Outer")
    for number, (type_, rule) in enumerate(fields, start=1):
        field = inner.field.add(name=f"f{number}", number=number, type=type_, label=label)
        if type_ == Field.TYPE_MESSAGE:
            field.type_name = ".google.protobuf.Duration"
        if type_ == Field.TYPE_ENUM:
            field.type_name = f".{file.package}.Kind"
        options: Any = field.options
        options.Extensions[rules.field].CopyFrom(rule)
    if message_rule:
        said: Any = inner.options
        said.Extensions[rules.message].cel.add(id="no", message="no", expression="false")
    below = outer.field.add(name="inner", number=1, type=Field.TYPE_MESSAGE, label=1)
    below.type_name = f".{file.package}.Inner"
    if required:
        choice: Any = outer.oneof_decl.add(name="choice").options
        choice.Extensions[rules.oneof].required = True
        below.oneof_index = 0
    pool: Any = descriptor_pool.Default()  # type: ignore[no-untyped-call]  # so say its stubs
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.Outer"))


def bounds(low: int | None, high: int | None, names: tuple[str, str]) -> Any:
    pairs = zip(names, (low, high), strict=True)
    return {name: value for name, value in pairs if value is not None}


@given(low=SIZES, high=SIZES, text=st.text(max_size=6), data=st.binary(max_size=6))
def test_lengths_agree_with_the_engine(
    low: int | None, high: int | None, text: str, data: bytes
) -> None:
    """Where the quick check is sure of a string or of bytes, the engine finds nothing."""
    limits = bounds(low, high, ("min_len", "max_len"))
    encoded = bounds(low, high, ("min_bytes", "max_bytes"))
    kind = declare(
        (Field.TYPE_STRING, rules.FieldRules(string=rules.StringRules(**limits))),
        (Field.TYPE_STRING, rules.FieldRules(string=rules.StringRules(**encoded, min_len=1))),
        (Field.TYPE_BYTES, rules.FieldRules(bytes=rules.BytesRules(**limits))),
    )
    agree(kind(inner={"f1": text, "f2": text, "f3": data}))


CHOICES = (
    rules.EnumRules(defined_only=True, not_in=[0]),
    rules.EnumRules(not_in=[1]),
    json_format.ParseDict({"in": [1, 4]}, rules.EnumRules()),
    json_format.ParseDict({"in": [1, 4], "definedOnly": True}, rules.EnumRules()),
)


@given(st.none() | INTS, st.none() | INTS, INTS, st.integers(0, 4), st.sampled_from(CHOICES))
def test_ranges_and_enums_agree_with_the_engine(
    low: int | None, high: int | None, value: int, choice: int, choices: rules.EnumRules
) -> None:
    """Also where the range is upside down, which to the engine means outside of it."""
    limits = bounds(low, high, ("gte", "lte"))
    kind = declare(
        (Field.TYPE_INT32, rules.FieldRules(int32=rules.Int32Rules(**limits))),
        (Field.TYPE_ENUM, rules.FieldRules(enum=choices)),
    )
    agree(kind(inner={"f1": value, "f2": choice}))


def agree(message: Any) -> None:
    check = quick.check_of(message.DESCRIPTOR)
    refused = bool(validation.ask_engine(message))
    if check is not None and quick.check_of(_inner(message.DESCRIPTOR)) is not None:
        assert check(message) is not refused
    assert bool(validation.violations(message)) is refused


@given(st.text(max_size=3), st.none() | st.floats(), st.lists(st.sampled_from(["", "a", "abcd"])))
def test_what_may_be_empty_and_fractions_agree_with_the_engine(
    text: str, value: float | None, items: list[str]
) -> None:
    """Sure of what is empty; of patterns and items the engine says the rest."""
    pattern = rules.FieldRules(string=rules.StringRules(pattern="^([a-z]+)?$", max_len=2))
    between = rules.FieldRules(double=rules.DoubleRules(gte=-2, lte=2))
    of_one = declare((Field.TYPE_STRING, pattern), (Field.TYPE_DOUBLE, between))
    message = of_one(inner={"f1": text} | ({} if value is None else {"f2": value}))
    check = quick.check_of(of_one.DESCRIPTOR)
    assert check is not None
    refused = bool(validation.ask_engine(message))
    assert not (check(message) and refused)
    assert check(message) or text or refused
    each = rules.FieldRules(string=rules.StringRules(min_len=1, max_len=3))
    of_many = rules.FieldRules(repeated=rules.RepeatedRules(max_items=2, items=each))
    kind = declare((Field.TYPE_STRING, of_many), label=3)
    surely = quick.check_of(kind.DESCRIPTOR)
    assert surely is not None
    assert surely(kind(inner={"f1": items})) is (not items)


@pytest.mark.parametrize(
    "rule",
    [
        rules.FieldRules(string=rules.StringRules(pattern="^a$")),
        rules.FieldRules(string=rules.StringRules(email=True)),
        rules.FieldRules(string=rules.StringRules(len=2)),
    ],
)
def test_a_rule_that_it_does_not_know_leaves_the_engine_to_look(rule: rules.FieldRules) -> None:
    """There is no quick check for such a type, and for what holds one only while it is not set."""
    unsure_if_set(declare((Field.TYPE_STRING, rule)))


def test_a_rule_on_the_message_or_on_items_leaves_the_engine_to_look() -> None:
    """Neither has a quick check, as long as it is set."""
    long = (Field.TYPE_STRING, rules.FieldRules(string=rules.StringRules(min_len=1)))
    unique = rules.FieldRules(repeated=rules.RepeatedRules(unique=True))
    unsure_if_set(declare(long, message_rule=True))
    unsure_if_set(declare((Field.TYPE_STRING, unique), label=3))


def _inner(outer: Any) -> Any:
    return outer.fields_by_name["inner"].message_type


def unsure_if_set(kind: Any) -> None:
    inner = _inner(kind.DESCRIPTOR)
    assert quick.check_of(inner) is None
    check = quick.check_of(kind.DESCRIPTOR)
    assert check is not None
    assert check(kind())
    assert not check(kind(inner=GetMessageClass(inner)()))


@given(low=st.integers(0, 3), seconds=st.none() | st.integers(0, 4), required=st.booleans())
def test_a_part_that_is_missing_agrees_with_the_engine(
    low: int, seconds: int | None, required: bool
) -> None:
    """A duration is the engine's to judge, and the lack of one that is required."""
    rule = rules.FieldRules(
        duration=rules.DurationRules(gte=Duration(seconds=low)), required=required
    )
    kind = declare((Field.TYPE_MESSAGE, rule))
    message = kind(inner={} if seconds is None else {"f1": {"seconds": seconds}})
    check = quick.check_of(kind.DESCRIPTOR)
    assert check is not None
    refused = bool(validation.ask_engine(message))
    assert not (check(message) and refused)
    assert check(message) is (seconds is None and not required)
    assert bool(validation.violations(message)) is refused


def test_most_requests_of_a_host_at_rest_are_checked_quickly() -> None:
    """Each renews its lease every second; the part with a duration opens one."""
    assert validation.surely_good(HoldLeaseRequest.DESCRIPTOR)(
        HoldLeaseRequest(renew=HoldLeaseRequest.Renew())
    )


@given(low=SIZES, high=SIZES, required=st.booleans(), texts=st.lists(st.text(max_size=2)))
def test_items_agree_with_the_engine(
    low: int | None, high: int | None, required: bool, texts: list[str]
) -> None:
    """A list is counted, and may be required to have something in it."""
    limits = bounds(low, high, ("min_items", "max_items"))
    rule = rules.FieldRules(repeated=rules.RepeatedRules(**limits), required=required)
    agree(declare((Field.TYPE_STRING, rule), label=3)(inner={"f1": texts}))


@given(required=st.booleans(), text=st.text(max_size=1), set_at_all=st.booleans())
def test_presence_agrees_with_the_engine(required: bool, text: str, set_at_all: bool) -> None:
    """A required text is not empty, a required message is there, and a oneof has its choice."""
    rule = rules.FieldRules(required=required)
    kind = declare((Field.TYPE_STRING, rule), required=required)
    agree(kind(inner={"f1": text} if set_at_all else None))


def test_a_type_without_rules_is_good_at_once() -> None:
    """Nothing can be wrong with it."""
    kind = declare((Field.TYPE_STRING, rules.FieldRules()))
    check = quick.check_of(kind.DESCRIPTOR)
    assert check is not None
    assert check(kind())
