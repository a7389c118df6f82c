"""Imports that point up, sideways, or into another agent are caught."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.unit.tools.rules.planted import found
from tools.rules import layers
from tools.rules.tree import Tree

_AGENT = "services/text/summarize.py"
_OUTGROWN = "services/text/summarize/shortening.py"


@pytest.mark.parametrize(
    ("path", "line", "said"),
    [
        ("libs/tandemkit/core/clock.py", "import grpc", "standard library only"),
        ("libs/tandemkit/core/clock.py", "from tandem.type.v1 import x_pb2", "standard library"),
        ("libs/tandemkit/core/clock.py", "from tandemkit.rpc import server", "above or beside"),
        ("libs/tandemkit/rpc/server.py", "from tandemkit.hosting.agent import Agent", "above"),
        ("libs/tandemkit/storage/state.py", "import tandemkit.telemetry.logs", "beside"),
        ("libs/tandemkit/rpc/server.py", "from services.text import summarize", "no service"),
        ("libs/tandemkit/mesh/ads.py", "from tandemkit.hosting.agent import Agent", "above"),
        ("libs/tandemkit/registry/protocol.py", "import tandemkit.mesh.catalogue", "above"),
        ("libs/tandemkit/odds/ends.py", "import json", "no layer"),
        ("libs/tandemkit/rpc/server.py", "from tools import stubs", "nothing imports `tools`"),
        ("libs/tandemkit/rpc/server.py", "from tests.repo import x", "nothing imports `tests`"),
        ("libs/tandemkit/hosting/host.py", "import torch", "only tandemkit.ml"),
        ("libs/tandemkit/hosting/host.py", "from tandemkit.testing.clock import x", "for tests"),
        (_AGENT, "from services.text import translate", "another agent"),
        (_AGENT, "from services.text.translate.core import x", "another agent"),
        (_AGENT, "from . import translate", "another agent"),
        (_AGENT, "from tandem.image.v1 import ocr_service_pb2", "another family"),
        (_AGENT, "from inference import tensor_pb2", "another family"),
        (_AGENT, "from tandemkit.fleet import plan", "do not import tandemkit.fleet"),
        (_AGENT, "from tandemkit.testing.clock import FakeClock", "for tests"),
        (_AGENT, "from torch import nn", "only tandemkit.ml"),
        (_OUTGROWN, "import grpc", "knows no grpc"),
        (_OUTGROWN, "from grpc.aio import Channel", "knows no grpc"),
        (_OUTGROWN, "from services.text.translate import x", "another agent"),
    ],
)
def test_an_import_across_a_wall_is_caught(path: str, line: str, said: str) -> None:
    """Each forbidden direction is found on its line, and the message says which wall it is."""
    (finding,) = found(layers.check, path, f'"""Planted."""\n\n{line}\n')
    assert finding.startswith(f"{path}:3: layers: ")
    assert said in finding


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("libs/tandemkit/core/names.py", "from tandemkit.core import clock"),
        ("libs/tandemkit/rpc/server.py", "from tandemkit.core.errors import CallerError"),
        ("libs/tandemkit/rpc/server.py", "import grpc"),
        ("libs/tandemkit/hosting/main.py", "from tandemkit.mesh import bootstrap"),
        ("libs/tandemkit/cli/plan.py", "from tandemkit.fleet import plan"),
        ("libs/tandemkit/ml/model.py", "import torch"),
        ("libs/tandemkit/testing/agents.py", "from tandemkit.hosting.host import hosting"),
        ("tests/unit/test_x.py", "from tandemkit.testing.clock import FakeClock"),
        ("tests/unit/test_x.py", "from services.text.summarize import AGENT"),
        ("tools/new_agent.py", "from tools import stubs"),
        (_AGENT, "import grpc"),
        (_AGENT, "from tandem.text.v1 import summarize_service_pb2"),
        (_AGENT, "from tandemkit.hosting.agent import Agent"),
        ("services/gateway/http/agent.py", "from inference import tensor_pb2"),
        (_OUTGROWN, "from services.text.summarize import sentences"),
        ("services/text/summarize/servicer.py", "import grpc"),
    ],
)
def test_an_import_within_the_walls_passes(path: str, line: str) -> None:
    """What the layers allow is not found."""
    assert found(layers.check, path, f"{line}\n") == []


def test_messages_of_a_called_agent_pass_in_the_whole_folder() -> None:
    """What `calls` declares opens the callee's package to each file of the caller, and no other."""
    agent = """\
        from tandem.image.v1 import ocr_service_pb2
        from tandem.text.v1 import summarize_service_pb2 as pb
        from tandemkit.hosting.agent import Agent
        AGENT = Agent(contract=pb.DESCRIPTOR, calls=(ocr_service_pb2.DESCRIPTOR,), build=build)
    """
    line = "from tandem.image.v1 import picture_pb2\n"
    files = {"services/text/summarize/agent.py": dedent(agent), _OUTGROWN: line}
    assert list(layers.check(Tree(files))) == []
    (finding,) = layers.check(Tree({**files, "services/text/translate.py": line}))
    assert finding.path == "services/text/translate.py"


def test_the_build_knows_every_layer() -> None:
    """Or Pants refuses what imports it, which nobody sees before the whole check."""
    listed = [str(one) for one in layers.check(Tree({"libs/BUILD": '"core",\n"rpc",\n'}))]
    assert "libs/BUILD:1: layers: the layer `hosting` is not in the list of the build" in listed
    assert not any("`rpc`" in one for one in listed)
