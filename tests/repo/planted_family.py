"""A small healthy tree: the platform's contracts and two agents, of which one calls the other."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.repo.checkout import root
from tools.new_agent import NewAgent, of_family, printed, written
from tools.rules.tree import Tree

_PLATFORM = re.compile(r"protos/tandem/(fleet|options|type)/.*\.proto")
_NOWHERE = Path("nowhere")

CALLER = "services/tale/tell.py"
CALLEE = "services/tale/recall.py"
CONTRACT = "protos/tandem/tale/v1/tell_service.proto"
REASONS = "protos/tandem/tale/v1/errors.proto"
SETTINGS = "protos/tandem/tale/config/v1/tell.proto"
BUILD = "services/tale/BUILD"
FLEET = "deploy/fleet/tale.yaml"
TESTS = "tests/unit/services/tale/test_tell.py"

_DECLARED = "Agent(contract=pb.DESCRIPTOR, build=build)"
_CALLING = (
    "Agent(contract=pb.DESCRIPTOR, settings=cfg.TellSettings, "
    "calls=(recall_service_pb2.DESCRIPTOR,), build=build)"
)
_IMPORTS = """\
from tandem.tale.config.v1 import tell_pb2 as cfg
from tandem.tale.v1 import recall_service_pb2
"""
_SETTINGS = """\
syntax = "proto3";

// Settings of the teller.
package tandem.tale.config.v1;

import "buf/validate/validate.proto";
import "google/protobuf/duration.proto";

// How tales are told.
message TellSettings {
  // Most characters of a tale. Default 1000.
  int32 chars_max = 1 [(buf.validate.field).int32 = {gte: 1, lte: 9000}];
  // How long to think first. Default none.
  google.protobuf.Duration pause = 2;
  // Words to avoid.
  repeated string taboos = 3;
}
"""
_STANZAS = """\
agents:
  - name: tale-tell
    service: tandem.tale.v1.TellService
    replicas: 2
    settings:
      chars_max: 500
      pause: 1.5s
      taboos: [dragon]
  - name: tale-recall-nightly
    service: tandem.tale.v1.RecallService
"""


def healthy() -> Tree:
    """No rule objects to it, so a test that changes one thing sees that thing's finding alone."""
    platform = {path: text for path, text in _read().items() if _PLATFORM.fullmatch(path)}
    teller, recaller = NewAgent.asked("tale/tell"), NewAgent.asked("tale/recall")
    build = "".join(printed(new, _NOWHERE)[BUILD] for new in (teller, recaller))
    tree = Tree(
        platform
        | of_family(teller)
        | written(teller)
        | written(recaller)
        | {BUILD: build, FLEET: _STANZAS, SETTINGS: _SETTINGS}
    )
    text = tree.files[CALLER].replace("from tandem.", f"{_IMPORTS}from tandem.", 1)
    return tree.with_files({CALLER: text.replace(_DECLARED, _CALLING)})


def changed(path: str, change: Callable[[str], str]) -> Tree:
    """The healthy tree with one file changed."""
    tree = healthy()
    after = change(tree.files[path])
    assert after != tree.files[path], "the planted change found nothing to change"
    return tree.with_files({path: after})


def _read() -> dict[str, str]:
    return Tree.read(root()).files
