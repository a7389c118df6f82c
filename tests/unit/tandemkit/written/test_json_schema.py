from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from google.protobuf import (
    any_pb2,
    duration_pb2,
    field_mask_pb2,
    json_format,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import Descriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError

from buf.validate import validate_pb2 as validate
from tandem.control.v1 import traffic_policy_service_pb2 as traffic
from tandem.memory.v1 import knowledge_base_service_pb2 as knowledge
from tandem.memory.v1 import vector_store_service_pb2 as vectors
from tandem.platform.v1 import event_store_service_pb2 as events
from tandem.tasks.v1 import scheduler_service_pb2 as scheduler
from tandem.tasks.v1 import workflow_service_pb2 as workflow
from tandem.utility.v1 import files_service_pb2 as files
from tandem.utility.v1 import toolbox_service_pb2 as toolbox
from tandemkit.rpc import validation
from tandemkit.written.contract_comments import Comments
from tandemkit.written.json_schema.forms import Form
from tandemkit.written.json_schema.messages import schema_of
from tandemkit.written.json_schema.patterns import shared
from tandemkit.written.json_schema.values import scalar
from tests.unit.tandemkit.written.drawing import messages

_MUTE = Comments(FileDescriptorSet())
_MODULES = (traffic, knowledge, vectors, events, scheduler, workflow, files, toolbox)
_SERVICES: list[ServiceDescriptor] = [
    service for module in _MODULES for service in module.DESCRIPTOR.services_by_name.values()
]
_KNOWN = (any_pb2, duration_pb2, field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)
_NO_KEYS = {Field.TYPE_DOUBLE, Field.TYPE_FLOAT, Field.TYPE_BYTES}
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.text(max_size=3), below),
    max_leaves=3,
)


def _every_kind() -> Descriptor:
    """A message with each type that JSON has a way for: alone, in lists and in maps."""
    file = FileDescriptorProto(name="every.proto", package="every", syntax="proto3")
    file.dependency.extend(one.DESCRIPTOR.name for one in _KNOWN)
    colour = file.enum_type.add(name="Colour")
    for number, name in enumerate(("COLOUR_UNSPECIFIED", "COLOUR_RED", "COLOUR_BLUE")):
        colour.value.add(name=name, number=number)
    every = file.message_type.add(name="Every")
    named = {
        f".{message.full_name}": Field.TYPE_MESSAGE
        for module in _KNOWN
        for message in module.DESCRIPTOR.message_types_by_name.values()
    } | {".every.Every": Field.TYPE_MESSAGE, ".every.Colour": Field.TYPE_ENUM}
    others = {Field.TYPE_GROUP, Field.TYPE_MESSAGE, Field.TYPE_ENUM}
    scalars = [kind for kind in range(1, 19) if kind not in others]
    keys = [kind for kind in scalars if kind not in _NO_KEYS]
    kinds = [("", kind) for kind in scalars] + list(named.items())
    for at, (name, kind) in enumerate(kinds):
        own: dict[str, Any] = {"type": kind} | ({"type_name": name} if name else {})
        every.field.add(name=f"one_{at}", number=3 * at + 1, label=Field.LABEL_OPTIONAL, **own)
        every.field.add(name=f"some_{at}", number=3 * at + 2, label=Field.LABEL_REPEATED, **own)
        entry = every.nested_type.add(name=f"Map{at}Entry")
        entry.options.map_entry = True
        key = keys[at % len(keys)]
        entry.field.add(name="key", number=1, label=Field.LABEL_OPTIONAL, type=key)
        entry.field.add(name="value", number=2, label=Field.LABEL_OPTIONAL, **own)
        every.field.add(
            name=f"map_{at}",
            number=3 * at + 3,
            label=Field.LABEL_REPEATED,
            type=Field.TYPE_MESSAGE,
            type_name=f".every.Every.Map{at}Entry",
        )
    pool: Any = DescriptorPool()
    for module in _KNOWN:
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    found: Descriptor = pool.FindMessageTypeByName("every.Every")
    return found


_EVERY = _every_kind()
_REQUESTS = [method.input_type for service in _SERVICES for method in service.methods]
_ANSWERS = [method.output_type for service in _SERVICES for method in service.methods] + [_EVERY]


@cache
def _validator(kind: Descriptor, form: Form) -> Draft202012Validator:
    schema = schema_of(kind, _MUTE, form)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def _refused(kind: Descriptor, written: Any) -> bool:
    """Whether a server of this contract takes no such request."""
    try:
        message = json_format.ParseDict(written, GetMessageClass(kind)())
    except (json_format.ParseError, OverflowError):
        return True
    return bool(validation.ask_engine(message))


def _is_overlooked(wrong: ValidationError) -> bool:
    """What protobuf's Python reads in spite of its own rules: it cuts what stands for an enum to a
    whole number, finds no wrong field in an empty list or text that stands for a message, and
    leaves out of base64 what is none.
    """
    value: Any = wrong.instance
    schema: Any = wrong.schema
    is_no_base64 = wrong.validator == "pattern" and "contentEncoding" in schema
    return is_no_base64 or isinstance(value, bool | float) or value in ([], "")


def _schema(*fields: Field, form: Form = Form.PREFERRED) -> dict[str, Any]:
    """Of a message with these fields, in a pool where protovalidate's options are unknown."""
    file = FileDescriptorProto(name="told.proto", package="told", syntax="proto3")
    file.message_type.add(name="Told").field.extend(fields)
    pool: Any = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return schema_of(pool.FindMessageTypeByName("told.Told"), _MUTE, form)


def _field(name: str, kind: Any, number: int = 1, **rules: Any) -> Field:
    found = Field(name=name, number=number, type=kind, label=Field.LABEL_OPTIONAL)
    found.options.Extensions[validate.field].CopyFrom(validate.FieldRules(**rules))
    return found


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_what_is_answered_fits_its_schema(data: st.DataObject) -> None:
    """Any message of any type, written as JSON, is valid by its own schema."""
    kind = data.draw(st.sampled_from(_ANSWERS))
    written = json_format.MessageToDict(data.draw(messages(kind)))
    _validator(kind, Form.WRITTEN).validate(written)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_what_the_schema_refuses_the_server_refuses(data: st.DataObject) -> None:
    """A request that the schema of all spellings finds invalid is no request, or breaks a rule."""
    kind = data.draw(st.sampled_from(_REQUESTS))
    written = json_format.MessageToDict(data.draw(messages(kind)))
    for name in data.draw(
        st.lists(st.sampled_from([one.json_name for one in kind.fields] or ["x"]))
    ):
        written[name] = data.draw(_JSON)
    wrong = list(_validator(kind, Form.ACCEPTED).iter_errors(written))
    if any(not _is_overlooked(one) for one in wrong):
        assert _refused(kind, written), written


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_the_preferred_spelling_is_one_that_is_accepted(data: st.DataObject) -> None:
    """What fits the schema for people fits that of all spellings, but for what oneofs forbid."""
    kind = data.draw(st.sampled_from(_REQUESTS))
    written = json_format.MessageToDict(data.draw(messages(kind)))
    if _validator(kind, Form.PREFERRED).is_valid(written):
        wrong = [one.validator for one in _validator(kind, Form.ACCEPTED).iter_errors(written)]
        assert set(wrong) <= {"oneOf", "anyOf", "not"}


def test_a_rule_is_a_keyword() -> None:
    """Lengths, ranges, patterns, choices and lists of a contract are what a schema calls them."""
    written = _schema(
        _field("a_text", Field.TYPE_STRING, 1, string={"min_len": 2, "max_len": 9}),
        _field("code", Field.TYPE_STRING, 2, string={"pattern": "^[a-z]+$"}),
        _field("share", Field.TYPE_DOUBLE, 3, double={"gte": 0.5, "lt": 1}),
        _field("size", Field.TYPE_INT32, 4, int32={"in": [1, 2]}),
        _field("wide", Field.TYPE_INT64, 5, int64={"gte": 0}),
        _field("raw", Field.TYPE_BYTES, 6, bytes={"max_len": 4}),
    )
    assert written["properties"] == {
        "aText": {"type": "string", "minLength": 2, "maxLength": 9},
        "code": {"type": "string", "pattern": "^[a-z]+$"},
        "share": {"type": "number", "format": "double", "minimum": 0.5, "exclusiveMaximum": 1},
        "size": {"type": "integer", "format": "int32", "enum": [1, 2]},
        "wide": {
            "description": "At least 0.",
            "type": "string",
            "format": "int64",
            "pattern": "^-?[0-9]+$",
        },
        "raw": {
            "type": "string",
            "contentEncoding": "base64",
            "pattern": scalar(Field.TYPE_BYTES, Form.WRITTEN)["pattern"],
            "maxLength": 8,
        },
    }
    assert written["required"] == ["aText", "code", "share", "size"]


def test_a_rule_that_no_keyword_can_say_is_told_in_words() -> None:
    """What is written in CEL, and patterns of RE2 alone, stand in the description."""
    said = validate.Rule(id="even", message="an even number of signs", expression="true")
    written = _schema(
        _field("pairs", Field.TYPE_STRING, 1, cel=[said]),
        _field("name", Field.TYPE_STRING, 2, string={"pattern": r"(?i)^a\z"}),
    )
    assert written["properties"]["pairs"]["description"] == "Rule: an even number of signs."
    assert written["properties"]["name"] == {
        "description": r"Matches `(?i)^a\z`.",
        "type": "string",
    }


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"^[a-z]$", r"^[a-z]$"),
        (r"^[^\p{C}]+$", r"^[^\x00-\x1f\x7f-\x9f]+$"),
        (r"^\p{L}+$", ""),
        (r"^(?:a|b)$", r"^(?:a|b)$"),
        (r"(?s).", ""),
    ],
)
def test_a_pattern_means_the_same_to_others_or_is_left_out(pattern: str, expected: str) -> None:
    """Classes and flags that only RE2 knows never reach a reader of another dialect."""
    assert shared(pattern) == expected


def test_a_message_that_holds_itself_is_defined_once() -> None:
    """Recursion ends in a reference."""
    written = schema_of(_EVERY, _MUTE)
    assert set(written["$defs"]) == {"every.Every", "every.Colour"}
    assert json.dumps(written).count('"every.Every":') == 1


def test_what_stands_in_the_contract_describes_its_schema() -> None:
    """Comments of messages, fields and values are descriptions."""
    image = FileDescriptorSet()
    file = image.file.add(package="tandem.told.v1")
    file.message_type.add(name="Told").field.add(name="a")
    for path, text in (([4, 0], " All of it.\n"), ([4, 0, 2, 0], " One part.\n")):
        file.source_code_info.location.add(path=path, leading_comments=text)
    wire = FileDescriptorProto(name="t.proto", package="tandem.told.v1", syntax="proto3")
    wire.message_type.add(name="Told").field.add(
        name="a", number=1, type=Field.TYPE_STRING, label=Field.LABEL_OPTIONAL
    )
    pool: Any = DescriptorPool()
    pool.AddSerializedFile(wire.SerializeToString())
    written = schema_of(pool.FindMessageTypeByName("tandem.told.v1.Told"), Comments(image))
    assert written["description"] == "All of it."
    assert written["properties"]["a"]["description"] == "One part."
