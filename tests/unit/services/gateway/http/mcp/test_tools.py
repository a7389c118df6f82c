"""Contracts as tools: all that the repository's own contracts mark, and what a name may be."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from jsonschema import Draft202012Validator

from services.gateway.http.directory import Service
from services.gateway.http.mcp.tools import NAME_CHARS_MAX, Tool, name_of, tools_of
from tandemkit.written.contract_comments import Comments
from tests.repo.checkout import root
from tools.contracts import image

_NAME = re.compile(rf"[a-zA-Z0-9_-]{{1,{NAME_CHARS_MAX}}}")
# What a model is told of one tool costs its context; few tools need more.
_DESCRIPTION_CHARS_MAX = 900
_INPUT_BYTES_MAX = 12_000


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tool]:
    """Of all contracts, whoever serves them."""
    made = tmp_path_factory.mktemp("image") / "image.binpb"
    image(root() / "protos", made)
    contracts = FileDescriptorSet.FromString(Path(made).read_bytes())
    pool: Any = DescriptorPool()
    for file in contracts.file:
        pool.Add(file)
    services = [
        Service.of(pool.FindServiceByName(f"{file.package}.{service.name}"))
        for file in contracts.file
        if file.package.startswith("tandem.")
        for service in file.service
    ]
    return tools_of(services, Comments(contracts))


def test_every_tool_is_described_by_its_contract(tools: dict[str, Tool]) -> None:
    """A name that clients take, valid schemas whose fields are explained, and no word of how it
    fails: that is told when it does.
    """
    assert len(tools) > 60
    for name, tool in tools.items():
        said = tool.definition
        assert _NAME.fullmatch(name), name
        assert 20 < len(said["description"]) <= _DESCRIPTION_CHARS_MAX, name
        assert "Fails with" not in said["description"], name
        assert len(json.dumps(said["inputSchema"])) <= _INPUT_BYTES_MAX, name
        for schema in (said["inputSchema"], said["outputSchema"]):
            assert schema["type"] == "object"
            Draft202012Validator.check_schema(schema)
        for field, schema in said["inputSchema"]["properties"].items():
            assert "description" in schema, f"{name}: {field}"


def test_no_tool_deletes_or_commands(tools: dict[str, Tool]) -> None:
    """Its hints say what its contract promises."""
    for name, tool in tools.items():
        hints = tool.definition["annotations"]
        assert hints["destructiveHint"] is False
        if not hints["readOnlyHint"]:
            assert re.search(r"_(Add|Append|Ask|AnswerQuestion)", name), name


def test_agents_in_any_language_are_tools(tools: dict[str, Tool]) -> None:
    """Go's and Node's as well: nothing but contracts is asked."""
    names = ("polyglot-file-digest_DescribeIndex", "polyglot-page-text_ReadPage")
    assert all(name in tools for name in names)


def test_a_long_name_keeps_to_the_limit_and_stays_its_own() -> None:
    """Two that begin the same stay two."""
    long = "family-agent-with-quite-a-long-name"
    first, second = (name_of(long, f"DoSomethingVeryLongWithIt{n}") for n in (1, 2))
    assert first != second
    assert _NAME.fullmatch(first)
    assert name_of("acme.x.v1.FooService", "Bar") == "acme-x-v1-FooService_Bar"
