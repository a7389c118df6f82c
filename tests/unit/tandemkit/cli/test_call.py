"""`call` against a real server: flags, streams, metadata, and what there is to call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tandem.utility.v1 import toolbox_service_pb2
from tandemkit.cli.call import call, metadata_of
from tandemkit.cli.call_text import method_text, methods_text
from tandemkit.cli.output import Refusal
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.testing import probe
from tandemkit.written.contract_comments import Comments
from tests.unit.tandemkit.hosting.probe_agent import AGENT

PLACED = (Placed(AGENT, probe.ProbeRequest()),)


class Prompt:
    """A person at a shell, beside one server."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def type(self, *words: str, told: str | None = None) -> Result:
        arguments = [*words, "--address", self._address]
        return await asyncio.to_thread(CliRunner().invoke, call, arguments, input=told)

    async def refusal(self, *words: str, told: str | None = None) -> Refusal:
        done = await self.type(*words, told=told)
        assert isinstance(done.exception, Refusal), done.output
        return done.exception


@asynccontextmanager
async def prompt(folder: Path) -> AsyncIterator[Prompt]:
    async with hosting(PLACED, Place("127.0.0.1:0", folder, SystemClock(), 0.0)) as port:
        yield Prompt(f"127.0.0.1:{port}")


async def test_a_request_is_made_from_flags(tmp_path: Path) -> None:
    """Alone, or on top of a JSON."""
    async with prompt(tmp_path) as one:
        alone = await one.type("probe-probe/Echo", "--text", "hi there")
        above = await one.type("probe-probe/Echo", '{"text": "no"}', "--text=yes")
    assert json.loads(alone.output) == {"text": "hi there"}
    assert json.loads(above.output) == {"text": "yes"}


async def test_a_wrong_flag_names_the_field_that_is_near(tmp_path: Path) -> None:
    """By the server's own contract."""
    async with prompt(tmp_path) as one:
        refused = await one.refusal("probe-probe/Echo", "--txt", "hi")
    assert "did you mean `text`?" in refused.message
    assert refused.exit_code == 2


async def test_a_stream_of_requests_is_lines_or_words(tmp_path: Path) -> None:
    """Lines of stdin, several JSONs, or one request from flags."""
    lines = '{"text": "a"}\n\n{"text": "b"}\n'
    async with prompt(tmp_path) as one:
        piped = await one.type("probe-probe/Collect", "-", told=lines)
        words = await one.type("probe-probe/Collect", '{"text": "c"}', '{"text": "d"}')
        flags = await one.type("probe-probe/Collect", "--text", "e")
        talk = await one.type("probe-probe/Chat", "-", told=lines)
    assert [json.loads(each.output) for each in (piped, words, flags)] == [
        {"text": "a,b"},
        {"text": "c,d"},
        {"text": "e"},
    ]
    assert [json.loads(line) for line in talk.output.splitlines()] == [{"text": "a"}, {"text": "b"}]


async def test_a_broken_line_of_a_stream_is_told_as_such(tmp_path: Path) -> None:
    """And not as the call's failure, which is what gRPC makes of it."""
    async with prompt(tmp_path) as one:
        refused = await one.refusal("probe-probe/Collect", "-", told='{"text": "a"}\n{"txt"\n')
        two = await one.refusal("probe-probe/Echo", "{}", "{}")
    assert "the request is no tandem.probe.v1.ProbeRequest" in refused.message
    assert "takes one request; these are 2" in two.message


async def test_an_answer_does_nothing_to_the_terminal(tmp_path: Path) -> None:
    """Control characters of an agent are shown in JSON's own spelling, also in a failure."""
    async with prompt(tmp_path) as one:
        done = await one.type("probe-probe/Echo", "--text", "\x9b2J\u202e")
    assert json.loads(done.output) == {"text": "\x9b2J\u202e"}
    assert "\x9b" not in done.output


async def test_a_service_alone_lists_its_methods(tmp_path: Path) -> None:
    """By any of its names."""
    async with prompt(tmp_path) as one:
        told = [await one.type(name) for name in ("probe-probe", probe.SERVICE, "ProbeAgent")]
        value = await one.type("probe-probe", "--json")
    assert all("probe-probe/Echo" in done.output for done in told)
    methods = {one["method"]: one["terms"] for one in json.loads(value.output)["methods"]}
    assert "answers with a stream" in methods["Tail"]
    assert "takes at most 0.2 s" in methods["Narrow"]


async def test_the_help_of_a_method_shows_its_fields(tmp_path: Path) -> None:
    """As the flags that they are, from the server's reflection; without a method it is ours."""
    async with prompt(tmp_path) as one:
        told = await one.type("probe-probe/Echo", "--help")
        value = await one.type("probe-probe/Echo", "--help", "--json")
    assert "--text  string" in told.output
    assert json.loads(value.output)["request"]["fields"][0]["field"] == "text"
    assert "Examples:" in CliRunner().invoke(call, ["--help"]).output


def test_metadata_is_checked_before_it_is_sent() -> None:
    """gRPC would fail on it without a word of what is wrong."""
    assert metadata_of(["X-Tester: yes", "key-bin:aGk="], "utility-files-2") == [
        ("x-tandem-instance", "utility-files-2"),
        ("x-tester", "yes"),
        ("key-bin", b"hi"),
    ]
    for wrong in ("x-tester", "x tester:1", "x:a\nb", "key-bin:?"):
        with pytest.raises(Refusal):
            metadata_of([wrong], None)


def test_comments_of_the_contract_are_shown() -> None:
    """Where the checkout has them: of the method, of each field, also of nested ones."""
    file = toolbox_service_pb2.DESCRIPTOR
    image = FileDescriptorSet()
    image.file.add().ParseFromString(file.serialized_pb)
    service = file.services_by_name["ToolboxService"]
    place = [one.name for one in service.methods].index("ConvertQuantity")
    for path, text in (
        ([6, 0], " Small tools.\n Exact.\n"),
        ([6, 0, 2, place], " Converts. Ok.\n"),
    ):
        image.file[0].source_code_info.location.add(path=path, leading_comments=text)
    comments = Comments(image)
    method = service.methods_by_name["ConvertQuantity"]
    assert comments.of(service.full_name) == "Small tools. Exact."
    assert comments.summary(method.full_name) == "Converts."
    assert "Small tools. Exact." in methods_text(service, comments)
    assert "--quantity.value  double" in method_text(method, comments)
    assert "changes nothing; takes at most" in method_text(method, comments)
