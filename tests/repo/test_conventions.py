"""What buf does not know about our contracts: each convention, broken once, is seen."""

from __future__ import annotations

import pytest

from tests.repo import planted_family as planted
from tests.repo.checkout import root
from tools.rules import conventions, words
from tools.rules.descriptors import Contracts
from tools.rules.tree import Tree

_IMPORTS = "\n".join(
    f'import "google/protobuf/{name}.proto";' for name in ("any", "duration", "struct")
)
_PAGE = "message PlantedRequest { int32 page_size = 1; string page_token = 2; }"


def test_a_healthy_family_has_no_finding() -> None:
    """The tree that the planted contracts are added to is itself without one."""
    assert _found(planted.healthy()) == []


@pytest.mark.parametrize(
    ("planting", "said"),
    [
        ("message Planted { google.protobuf.Struct x = 1; }", "hides the fields"),
        ("message Planted { repeated google.protobuf.Value x = 1; }", "hides the fields"),
        ("message Planted { map<string, string> x = 1; }", "map<string, string>"),
        ("message Planted { google.protobuf.Any x = 1; }", "settings in tandem.fleet"),
        ("message Planted { int64 wait_ms = 1; }", "google.protobuf.Duration"),
        ("message Planted { uint32 timeout_seconds = 1; }", "google.protobuf.Duration"),
        ("message Planted { message Inner { int32 wait_ms = 1; } }", "google.protobuf.Duration"),
        ("message Planted { string a = 1; string b = 3; }", "2 is neither used nor reserved"),
        ("message PlantedRequest { int32 page_size = 1; }", "come as a pair"),
        ("message PlantedResponse { string next_page_token = 1; }", "field 1 of a page"),
        ("message PlantedManager {}", "`Manager` says nothing"),
        ("enum Planted_ErrorReason { A = 0; B = 1; }", "tandem.options.v1.code"),
        (f"{_PAGE} message PlantedResponse {{ repeated string a = 1; }}", "next_page_token"),
    ],
)
def test_a_broken_convention_of_messages_is_caught(planting: str, said: str) -> None:
    """The finding stands in the file where the element is, and says what to write instead."""
    found = _found(planted.changed(planted.CONTRACT, lambda text: _with_messages(text, planting)))
    assert any(item.startswith(f"{planted.CONTRACT}:") and said in item for item in found)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("    option (tandem.options.v1.deadline) = {seconds: 2};\n", "", "v1.deadline)"),
        ("{seconds: 2}", "{seconds: 31}", "is a job"),
        ("  option (tandem.options.v1.statefulness) = STATEFULNESS_STATELESS;\n", "", "stateful"),
        ("service TellService", "service TellerService", "teller_service.proto"),
    ],
)
def test_a_broken_convention_of_services_is_caught(before: str, after: str, said: str) -> None:
    """Deadline, state, place and imports of a service are each held to."""
    found = _found(planted.changed(planted.CONTRACT, lambda text: text.replace(before, after)))
    assert any(item.startswith(f"{planted.CONTRACT}:") and said in item for item in found)


@pytest.mark.parametrize(
    ("imported", "is_caught"),
    [("tandem/saga/v1/saga.proto", True), ("tandem/fleet/v1/resources.proto", False)],
)
def test_another_familys_things_are_not_imported(imported: str, is_caught: bool) -> None:
    """They are referred to by name; what the whole fleet runs by is nobody's own."""
    other = 'syntax = "proto3";\n\n// Another family.\npackage tandem.saga.v1;\n'
    tree = planted.changed(
        planted.CONTRACT,
        lambda text: text.replace(
            'import "tandem/opt', f'import "{imported}";\nimport "tandem/opt', 1
        ),
    ).with_files({"protos/tandem/saga/v1/saga.proto": other})
    found = [item for item in _found(tree) if item.startswith(f"{planted.CONTRACT}:")]
    assert any("belongs to another family" in item for item in found) == is_caught


def test_a_stream_says_what_ends_it() -> None:
    """A stream has no deadline only where its comment says when it is over."""
    deadline = "    option (tandem.options.v1.deadline) = {seconds: 2};\n"

    def streaming(comment: str) -> Tree:
        return planted.changed(
            planted.CONTRACT,
            lambda text: (
                text.replace(deadline, "")
                .replace("returns (Tell", "returns (stream Tell")
                .replace("// Answers one text.", comment)
            ),
        )

    assert any("what ends it" in item for item in _found(streaming("// Answers.")))
    assert _found(streaming("// Answers until the caller hangs up.")) == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("rpc Tell(TellRequest)", "rpc Tell(stream TellRequest)", "takes one request"),
        ("option idempotency_level = NO_SIDE_EFFECTS;", "", "only adds"),
        ("returns (TellResponse)", "returns (stream TellResponse)", "has a deadline"),
    ],
)
def test_what_a_model_must_not_call_unasked_is_no_tool(before: str, after: str, said: str) -> None:
    """A tool takes one request, ends, and neither deletes nor commands."""

    def tool(text: str) -> str:
        level = "    option idempotency_level"
        return text.replace(level, f"    option (tandem.options.v1.tool) = true;\n{level}")

    def broken(text: str) -> str:
        if "stream" in after:
            text = text.replace("    option (tandem.options.v1.deadline) = {seconds: 2};\n", "")
        return tool(text).replace(before, after)

    assert _found(planted.changed(planted.CONTRACT, tool)) == []
    found = _found(planted.changed(planted.CONTRACT, broken))
    assert any(item.startswith(f"{planted.CONTRACT}:") and said in item for item in found)


def test_a_second_service_in_a_file_is_caught() -> None:
    """One agent, one contract, one file."""
    tree = planted.changed(planted.CONTRACT, lambda text: f"{text}\nservice OtherService {{}}\n")
    assert any("one service per file" in item for item in _found(tree))


def test_reserved_numbers_are_no_gap() -> None:
    """A deleted field leaves its number reserved, and that is no finding."""
    planting = 'message Planted { reserved 2; reserved "b"; string a = 1; string c = 3; }'
    tree = planted.changed(planted.CONTRACT, lambda text: _with_messages(text, planting))
    assert _found(tree) == []


def _with_messages(text: str, planting: str) -> str:
    """A page is only a page where a method answers it."""
    text = text.replace("import ", f"{_IMPORTS}\nimport ", 1)
    if "PlantedRequest" in planting and "PlantedResponse" in planting:
        rpc = "rpc Planted(PlantedRequest) returns (PlantedResponse);"
        text = text.replace("  // Answers", f"  {rpc}\n  // Answers", 1)
    return f"{text}\n{planting}\n"


def _found(tree: Tree) -> list[str]:
    contracts = Contracts.of(tree)
    checks = (conventions.check(contracts), words.names_in_contracts(contracts))
    return [str(finding) for check in checks for finding in check]


def test_a_service_that_keeps_content_and_asks_nobody_is_caught() -> None:
    """What it keeps is somebody's; a real contract, without its option."""
    tree = Tree.read(root())
    path = "protos/tandem/memory/v1/session_memory_service.proto"
    text = tree.files[path].replace("  option (tandem.options.v1.asks_caller) = true;\n", "")
    found = conventions.check(Contracts.of(Tree({**tree.files, path: text})))
    assert [item.path for item in found if "asks_caller" in item.message] == [path]
