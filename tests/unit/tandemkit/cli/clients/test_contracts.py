"""A package has the contracts of the agents that were asked for, and what those need."""

from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from tandem.options.v1 import options_pb2
from tandemkit.cli.clients.contracts import chosen
from tandemkit.cli.output import Refusal


def file(name: str, *imports: str, service: str = "") -> FileDescriptorProto:
    package = ".".join(name.split("/")[:-1])
    made = FileDescriptorProto(name=name, package=package, dependency=imports)
    if service:
        made.service.add(name=service)
    return made


FILES = (
    file("google/protobuf/empty.proto"),
    file("buf/validate/validate.proto"),
    file("tandem/type/v1/platform_error.proto"),
    file("tandem/text/v1/errors.proto"),
    file("tandem/text/v1/document.proto", "buf/validate/validate.proto"),
    file("tandem/text/v1/unused.proto"),
    file("tandem/text/config/v1/summarize.proto"),
    file(
        "tandem/text/v1/summarize_service.proto",
        "tandem/text/v1/document.proto",
        "google/protobuf/empty.proto",
        service="SummarizeService",
    ),
    file("tandem/vision/v1/face_service.proto", service="FaceService"),
)
SUMMARIZE = [
    "tandem/text/v1/document.proto",
    "tandem/text/v1/errors.proto",
    "tandem/text/v1/summarize_service.proto",
    "tandem/type/v1/platform_error.proto",
]


@pytest.mark.parametrize("name", ["text-summarize", "tandem.text.v1.SummarizeService"])
def test_an_agent_comes_with_its_imports_and_reasons(name: str) -> None:
    """By either of its names; no settings, no rules, nothing of another agent."""
    assert chosen(FILES, [name]) == SUMMARIZE


def test_what_the_kit_answers_for_itself_is_left_out() -> None:
    """No client reaches it, so a package of all agents is without it and none can be asked for."""
    plumbing = file("tandem/text/v1/pipe_service.proto", service="PipeService")
    said: Any = plumbing.service[0].options
    said.Extensions[options_pb2.plumbing] = True
    assert chosen((*FILES, plumbing), []) == chosen(FILES, [])
    with pytest.raises(Refusal, match="no agent is called 'text-pipe'"):
        chosen((*FILES, plumbing), ["text-pipe"])


@pytest.mark.parametrize("name", ["gateway-kserve", "inference.GRPCInferenceService"])
def test_a_protocol_of_others_has_clients_of_theirs(name: str) -> None:
    """A package of all agents is without it, and who asks for it is told why."""
    with pytest.raises(Refusal, match="speaks a protocol of others"):
        chosen(FILES, [name])


def test_all_agents_come_where_none_is_named() -> None:
    """What no agent uses stays behind."""
    assert chosen(FILES, []) == sorted([*SUMMARIZE, "tandem/vision/v1/face_service.proto"])


def test_a_misspelt_agent_is_refused_with_near_names() -> None:
    """The answer says what was probably meant."""
    with pytest.raises(Refusal, match="did you mean text-summarize"):
        chosen(FILES, ["text-sumarize"])
    with pytest.raises(Refusal, match="there are text-summarize, vision-face"):
        chosen(FILES, ["q"])
