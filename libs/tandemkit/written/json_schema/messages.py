"""Messages of a contract as JSON Schema, by the mapping to JSON that protobuf lays down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from tandemkit.written.contract_comments import Comments
from tandemkit.written.json_schema import rules
from tandemkit.written.json_schema.forms import DIALECT, Form, Schema, described, or_null
from tandemkit.written.json_schema.keywords import ruled
from tandemkit.written.json_schema.rules import Rules
from tandemkit.written.json_schema.values import map_key, names_of, scalar, well_known

_MESSAGE, _ENUM = FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_ENUM
_ZEROS = {
    FieldDescriptor.TYPE_STRING: "",
    FieldDescriptor.TYPE_BYTES: b"",
    FieldDescriptor.TYPE_BOOL: False,
}


class Schemas:
    """Writes schemas that share their definitions, which lie under the pointer `at`."""

    def __init__(
        self,
        comments: Comments,
        form: Form = Form.PREFERRED,
        at: str = "#/$defs/",
        named: Callable[[str], str] = str,
    ) -> None:
        self._comments, self._form, self._at, self._named = comments, form, at, named
        # By name, of the messages and enums that were asked for and of all that they hold.
        self.definitions: dict[str, Schema] = {}

    def of(self, kind: Descriptor) -> Schema:
        """A reference to it, or what JSON writes in its place."""
        own = well_known(kind.full_name, self._form)
        return self._reference(kind, lambda: self.whole(kind)) if own is None else own

    def whole(self, kind: Descriptor) -> Schema:
        """The message itself, with references to what it holds."""
        schema: Schema = {"type": "object"}
        if kind.fields:
            schema["properties"] = {one.json_name: self._field(one) for one in kind.fields}
        if self._form.is_asked:
            if needed := [one.json_name for one in kind.fields if _is_needed(one)]:
                schema["required"] = needed
            schema["additionalProperties"] = False
        if self._form is Form.ACCEPTED and (choices := _choices(kind)):
            schema["allOf"] = choices
        said = rules.of_message(kind) if self._form.is_asked else ()
        return described(schema, self._comments.of(kind.full_name), *said)

    def _reference(self, kind: Descriptor | EnumDescriptor, write: Callable[[], Schema]) -> Schema:
        name = self._named(kind.full_name)
        if name not in self.definitions:
            # Before it is written: it may hold itself.
            self.definitions[name] = {}
            self.definitions[name] = write()
        return {"$ref": f"{self._at}{name}"}

    def _field(self, field: FieldDescriptor) -> Schema:
        said = rules.of_field(field) if self._form.is_asked else Rules()
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        if is_map:
            schema = self._map(field, said)
        elif field.is_repeated:
            schema = self._list(field, said)
        else:
            schema = self._value(field, said)
        schema, sentences = ruled(schema, said, self._form)
        if self._form is Form.ACCEPTED and not _is_needed(field) and not _takes_null(field):
            schema = or_null(schema)
        return described(schema, self._comments.of(field.full_name), *sentences, _alone(field))

    def _list(self, field: FieldDescriptor, said: Rules) -> Schema:
        below = said.below("items")
        items, sentences = ruled(self._value(field, below), below, self._form)
        return {"type": "array", "items": described(items, *sentences)}

    def _map(self, field: FieldDescriptor, said: Rules) -> Schema:
        key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        of_keys, of_values = said.below("keys"), said.below("values")
        names, _ = ruled(map_key(key.type), of_keys, self._form)
        values, sentences = ruled(self._value(value, of_values), of_values, self._form)
        schema: Schema = {"type": "object", "additionalProperties": described(values, *sentences)}
        return schema | ({"propertyNames": names} if names else {})

    def _value(self, field: FieldDescriptor, said: Rules) -> Schema:
        """One of what the field holds, before its rules; those of an enum decide what it lists."""
        if field.message_type is not None:
            return self.of(field.message_type)
        if field.enum_type is None:
            return scalar(field.type, self._form)
        kind = field.enum_type
        numbers = said.numbers(kind)
        if numbers is not None or kind.full_name == "google.protobuf.NullValue":
            return names_of(kind, self._form, numbers)
        return self._reference(kind, lambda: self._enum(kind))

    def _enum(self, kind: EnumDescriptor) -> Schema:
        values = [
            (one.name, self._comments.of(f"{kind.full_name}.{one.name}")) for one in kind.values
        ]
        told = [f"{name}: {text}" for name, text in values if text]
        comment = self._comments.of(kind.full_name)
        return described(names_of(kind, self._form), comment, *told)


def schema_of(kind: Descriptor, comments: Comments, form: Form = Form.PREFERRED) -> Schema:
    """All of a message in one schema that refers to nothing but itself."""
    schemas = Schemas(comments, form)
    whole = schemas.whole(kind)
    schema: Schema = {"$schema": DIALECT, **whole}
    return schema | ({"$defs": schemas.definitions} if schemas.definitions else {})


def _is_needed(field: FieldDescriptor) -> bool:
    """Whether a message without it breaks the contract."""
    said = rules.of_field(field)
    if field.has_presence:
        return said.is_required
    if field.is_repeated:
        return said.refuse(())
    return said.refuse(_ZEROS.get(field.type, 0))


def _takes_null(field: FieldDescriptor) -> bool:
    """Where null is a value and not the lack of one."""
    kind: Any = field.message_type or field.enum_type
    null = {"google.protobuf.Value", "google.protobuf.NullValue"}
    return kind is not None and kind.full_name in null and not field.is_repeated


def _choices(kind: Descriptor) -> list[Schema]:
    """For each oneof: all of its members but one are absent, or null, which means absent."""
    found = []
    for oneof in kind.oneofs:
        names = [one.json_name for one in oneof.fields]
        # What the contract calls `optional` is a oneof of one.
        if len(names) < 2:
            continue
        must = rules.must_choose(oneof)
        found.append(
            {"oneOf" if must else "anyOf": [_only(name, names, must=must) for name in names]}
        )
    return found


def _only(name: str, names: list[str], *, must: bool) -> Schema:
    others: Schema = {other: {"type": "null"} for other in names if other != name}
    if not must:
        return {"properties": others}
    return {"required": [name], "properties": others | {name: {"not": {"type": "null"}}}}


def _alone(field: FieldDescriptor) -> str:
    """What a member of a oneof has to say."""
    oneof = field.containing_oneof
    if oneof is None or len(oneof.fields) < 2:
        return ""
    others = ", ".join(one.json_name for one in oneof.fields if one is not field)
    must = "Exactly one" if rules.must_choose(oneof) else "At most one"
    return f"{must} is given of this and {others}."
