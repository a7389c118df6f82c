"""Paths that a contract names by google.api.http."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message_factory import GetMessageClass

from tandemkit.rpc.context import Context
from tandemkit.testing.agents import fake_agent
from tests.unit.services.gateway.http.gateways import Gateway, gateway

PACKAGE = "tandem.shelf.v1"


def _declare() -> Any:
    """A contract with a way of each form."""
    file = FileDescriptorProto(name="tandem/shelf/v1/shelf_service.proto", package=PACKAGE)
    file.syntax = "proto3"
    file.dependency.append(annotations_pb2.DESCRIPTOR.name)
    book = file.message_type.add(name="Book")
    for number, name in enumerate(("name", "title"), start=1):
        _field(book, name, number, FieldDescriptorProto.TYPE_STRING)
    request = file.message_type.add(name="BookRequest")
    _field(request, "name", 1, FieldDescriptorProto.TYPE_STRING)
    _field(request, "pages", 2, FieldDescriptorProto.TYPE_INT32)
    inside = _field(request, "book", 3, FieldDescriptorProto.TYPE_MESSAGE)
    inside.type_name = f".{PACKAGE}.Book"
    response = file.message_type.add(name="BookResponse")
    said = _field(response, "said", 1, FieldDescriptorProto.TYPE_MESSAGE)
    said.type_name = f".{PACKAGE}.BookRequest"
    service = file.service.add(name="ShelfService")
    for name, rule in (
        ("Read", {"get": "/shelf/v1/{name=shelves/*/books/*}"}),
        ("Publish", {"post": "/shelf/v1/{name=shelves/**}:publish", "body": "*"}),
        ("Change", {"patch": "/shelf/v1/{book.name}", "body": "book", "response_body": "said"}),
    ):
        types = {"input_type": f".{PACKAGE}.BookRequest", "output_type": f".{PACKAGE}.BookResponse"}
        method: Any = service.method.add(name=name, **types)
        for key, value in rule.items():
            setattr(method.options.Extensions[annotations_pb2.http], key, value)
    pool: Any = annotations_pb2.DESCRIPTOR.pool
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindFileByName(file.name)


def _field(message: Any, name: str, number: int, kind: int) -> Any:
    field = message.field.add(name=name, number=number)
    field.type, field.label = kind, FieldDescriptorProto.LABEL_OPTIONAL
    return field


DESCRIPTOR = _declare()
RESPONSE: Any = GetMessageClass(DESCRIPTOR.message_types_by_name["BookResponse"])


async def _say(request: Any, _context: Context) -> Any:
    """What it was asked."""
    return RESPONSE(said=request)


@pytest_asyncio.fixture
async def it(tmp_path: Path) -> AsyncIterator[Gateway]:
    shelf = fake_agent(DESCRIPTOR, Read=_say, Publish=_say, Change=_say)
    async with gateway(tmp_path, shelf) as running:
        yield running


async def _told(it: Gateway, verb: str, path: str, **options: Any) -> tuple[int, Any]:
    async with it.client.request(verb, f"{it.url}{path}", **options) as told:
        return told.status, await told.json(content_type=None)


async def test_a_path_fills_fields_and_the_query_the_rest(it: Gateway) -> None:
    """A variable holds as many segments as its pattern says."""
    said = await _told(it, "GET", "/shelf/v1/shelves/a/books/b", params={"pages": "3"})
    assert said == (200, {"said": {"name": "shelves/a/books/b", "pages": 3}})
    assert (await _told(it, "GET", "/shelf/v1/shelves/a/books/b/c"))[0] == 404


async def test_a_body_is_the_request_without_what_the_path_says(it: Gateway) -> None:
    """`*` takes all of it, and the path wins; a verb stands behind a colon."""
    body = {"pages": 4, "name": "other"}
    said = await _told(it, "POST", "/shelf/v1/shelves/a/b/c:publish", json=body)
    assert said == (200, {"said": {"name": "shelves/a/b/c", "pages": 4}})


async def test_a_body_may_be_one_field_and_the_answer_too(it: Gateway) -> None:
    """Of a message inside of the request the path fills a part."""
    options: Any = {"json": {"title": "T"}, "params": {"pages": "5"}}
    said = await _told(it, "PATCH", "/shelf/v1/b", **options)
    assert said == (200, {"name": "", "pages": 5, "book": {"name": "b", "title": "T"}})


async def test_another_verb_is_told_which_there_is(it: Gateway) -> None:
    """And every method has its path by rule besides."""
    status, problem = await _told(it, "DELETE", "/shelf/v1/shelves/a/books/b")
    assert (status, problem["metadata"]) == (405, {"allowed": "GET"})
    said = await _told(it, "POST", "/api/shelf-shelf/Read", json={"name": "a"})
    assert said == (200, {"said": {"name": "a"}})
