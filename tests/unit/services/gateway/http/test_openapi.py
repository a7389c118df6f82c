"""The document of the REST face, and the page that shows it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from jsonschema import Draft202012Validator

from inference import grpc_inference_service_pb2 as inference
from services.gateway.http.directory import Service
from services.gateway.http.openapi.document import Writer
from tandem.memory.v1 import errors_pb2 as memory_errors
from tandem.memory.v1 import knowledge_base_service_pb2 as knowledge
from tandem.platform.v1 import event_store_service_pb2 as events
from tandem.utility.v1 import files_service_pb2 as files
from tandemkit.rpc.contract import with_imports
from tandemkit.testing.parts import short_folder
from tandemkit.written.json_schema.forms import Form
from tests.unit.services.gateway.http.gateways import Gateway, Probing, gateway

_SERVICES = tuple(
    Service.of(service)
    for module in (knowledge, events, files)
    for service in module.DESCRIPTOR.services_by_name.values()
)


def _image() -> FileDescriptorSet:
    """Contracts with one comment, as a build would have them with all."""
    image = FileDescriptorSet()
    for module in (memory_errors, knowledge):
        for file in with_imports(module.DESCRIPTOR):
            image.file.add().ParseFromString(file.serialized_pb)
    asked = next(one for one in image.file if one.name == knowledge.DESCRIPTOR.name)
    at = [one.name for one in asked.service[0].method].index("Ask")
    said = " Answers a question. Fails with NOT_FOUND/DOCUMENT_NOT_FOUND.\n"
    asked.source_code_info.location.add(path=[6, 0, 2, at], leading_comments=said)
    return image


def _document(form: Form = Form.PREFERRED) -> dict[str, Any]:
    return Writer(_image()).document(_SERVICES, form)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Gateway]:
    with short_folder() as folder:
        async with gateway(folder, Probing().agent) as it:
            yield it


pytestmark = pytest.mark.asyncio(loop_scope="module")


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for one in value.values():
            yield from _references(one)
    elif isinstance(value, list):
        for one in value:
            yield from _references(one)


@pytest.mark.parametrize("form", [Form.PREFERRED, Form.ACCEPTED])
async def test_the_document_holds_together(form: Form) -> None:
    """Every reference leads somewhere, every name is one operation's, every schema is one."""
    document = _document(form)
    for reference in set(_references(document)):
        found: Any = document
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
    operations = [one for ways in document["paths"].values() for one in ways.values()]
    names = [one["operationId"] for one in operations]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*_[A-Za-z]+(_get)?", name) for name in names)
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


async def test_what_is_public_asks_for_no_token() -> None:
    """All else does, by what the document says of every operation."""
    service = Service.of(inference.DESCRIPTOR.services_by_name["GRPCInferenceService"])
    document = Writer(_image()).document([service], Form.PREFERRED)
    asked = {path.rpartition("/")[2]: one["post"] for path, one in document["paths"].items()}
    public = {name for name, one in asked.items() if one.get("security") == []}
    assert public == {"ServerLive", "ServerReady", "ModelReady", "ServerMetadata"}
    assert document["security"]


async def test_every_method_is_there_under_its_agent() -> None:
    """Each with a request, an answer, and the agent's tag."""
    document = _document()
    for service in _SERVICES:
        for name in service.methods:
            operation = document["paths"][f"/api/{service.short}/{name}"]["post"]
            assert operation["tags"] == [service.short]
            assert operation["requestBody"]["content"]
            assert operation["responses"]["200"]["content"]
    assert [one["name"] for one in document["tags"]] == [one.short for one in _SERVICES]


async def test_the_document_says_what_the_contract_does() -> None:
    """Comments, deadlines and the reasons that a comment names, with their status in HTTP."""
    operation = _document()["paths"]["/api/memory-knowledge-base/Ask"]["post"]
    assert operation["summary"] == "Answers a question."
    assert operation["x-tandem-effect"] == "reads"
    assert operation["x-tandem-method"] == "/tandem.memory.v1.KnowledgeBaseService/Ask"
    (reason,) = operation["x-tandem-reasons"]
    assert (reason["reason"], reason["status"]) == ("DOCUMENT_NOT_FOUND", 404)


async def test_the_same_contracts_make_the_same_bytes() -> None:
    """Nothing in it depends on when or in which order it was written."""
    assert json.dumps(_document()) == json.dumps(_document())


async def test_streams_are_events_one_way_and_lines_the_other() -> None:
    """And each names the schema of one of its messages."""
    paths = _document()["paths"]
    watch = paths["/api/utility-files/WatchFiles"]["post"]["responses"]["200"]["content"]
    data = watch["text/event-stream"]["schema"]["properties"]["data"]
    assert data["contentSchema"]["$ref"].endswith("WatchFilesResponse")
    write = paths["/api/utility-files/UploadFile"]["post"]["requestBody"]["content"]
    assert write["application/x-ndjson"]["x-tandem-line"]["$ref"].endswith("UploadFileRequest")


async def test_the_document_is_of_the_agents_that_are_there(running: Gateway) -> None:
    """Also of those whose contracts this code does not know."""
    async with running.client.get(f"{running.url}/openapi.json") as told:
        assert told.status == 200
        assert told.content_type == "application/json"
        document = await told.json()
    assert document["openapi"] == "3.1.0"
    assert "/api/probe-probe/Echo" in document["paths"]
    schema = document["components"]["schemas"]["tandem.probe.v1.ProbeRequest"]
    assert schema["properties"]["text"]["type"] == "string"


async def test_who_has_the_document_is_told_so(running: Gateway) -> None:
    """The same entity tag answers 304, and asks for no bytes."""
    async with running.client.get(f"{running.url}/openapi.json") as told:
        tag = told.headers["etag"]
    headers = {"if-none-match": tag}
    async with running.client.get(f"{running.url}/openapi.json", headers=headers) as told:
        assert (told.status, await told.read()) == (304, b"")


async def test_validators_get_every_spelling_that_is_read(running: Gateway) -> None:
    """`form=accepted` differs from the document for people; another form is refused."""
    async with running.client.get(f"{running.url}/openapi.json?form=accepted") as told:
        document = await told.json()
    text = document["components"]["schemas"]["tandem.probe.v1.ProbeRequest"]["properties"]["text"]
    assert "null" in text["type"]
    async with running.client.get(f"{running.url}/openapi.json?form=odd") as told:
        assert told.status == 400


async def test_the_document_needs_the_token_and_the_page_does_not(running: Gateway) -> None:
    """Which agents there are is nobody else's business; the page itself tells nothing."""
    headers = {"authorization": "Bearer wrong"}
    async with running.client.get(f"{running.url}/openapi.json", headers=headers) as told:
        assert told.status == 401
    for path in ("/docs", "/docs/page.js", "/docs/page.css"):
        async with running.client.get(f"{running.url}{path}", headers=headers) as told:
            assert told.status == 200
            policy = told.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert told.headers["x-content-type-options"] == "nosniff"


async def test_the_page_has_all_that_it_loads_and_nothing_from_elsewhere(running: Gateway) -> None:
    """Its files name only files of its own, and hold no inline script, style or markup."""
    folder = Path(__file__).parents[5] / "services/gateway/http/openapi/page"
    for path in sorted(folder.iterdir()):
        text = path.read_text("utf-8")
        assert "://" not in text, path.name
        assert "innerHTML" not in text, path.name
        assert " style=" not in text, path.name
        for name in re.findall(r'(?:from "\./|"/docs/)([a-z.]+)"', text):
            async with running.client.get(f"{running.url}/docs/{name}") as told:
                assert told.status == 200, name
