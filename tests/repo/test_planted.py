"""No rule is asleep: each, without exception, sees the violation that is planted for it."""

from __future__ import annotations

import pytest

from tests.repo import planted_family as planted
from tools.rules import book
from tools.rules.descriptors import Contracts
from tools.rules.tree import Tree

_KIT = "libs/tandemkit/rpc/server.py"
_TEST = "tests/unit/test_x.py"

# Put together here, or the rules would find this file.
_HOST = "https:" + "//files.example/x.whl"
_HOME = "/" + "home/ann/x"

_PLANTED = {
    "addresses": {"pins.txt": f"x @ {_HOST}\n"},
    "call-graph": {
        planted.CALLER: "from tandem.tale.v1 import recall_service_pb2_grpc\n"
        "from tandem.tale.v1 import tell_service_pb2 as pb\n"
        "from tandemkit.hosting.agent import Agent\n"
        "AGENT = Agent(contract=pb.DESCRIPTOR, build=build)\n"
    },
    "catch-alls": {_KIT: "try:\n    x()\nexcept Exception:\n    pass\n"},
    "clocks": {_TEST: "import time\ntime.sleep(1)\n"},
    "doors": {_KIT: "from tandemkit.supervise.roll.cached import CachedRoll\n"},
    "environment": {_KIT: "import os\nos.environ['HOME']\n"},
    "five-facts": {planted.CONTRACT: "package tandem.tale.v1;\nservice TellService {}\n"},
    "foreign": {"libs/vendor/six.py": ""},
    "fragments": {"changes/summarize.md": "It summarises.\n"},
    "generated": {"protos/tandem/tale/v1/tell_service_pb2.py": ""},
    "layers": {"libs/tandemkit/core/clock.py": "import grpc\n"},
    "log-events": {_KIT: "logger.info(f'call of {name}')\n"},
    "machine-paths": {"docs/x.md": f"See {_HOME}.\n"},
    "marks": {_KIT: "# FIXME\n"},
    "module-docstrings": {_KIT: "import json\n"},
    "names": {_KIT: "class CallManager: ...\n"},
    "prints": {_KIT: "print('x')\n"},
    "randomness": {_TEST: "import random\nrandom.random()\n"},
    "ratchet": {_KIT: "x = 1\n" * 301},
    "shell": {"tools/go.sh": "#!/bin/sh\n" + "true\n" * 10},
    "supervised": {_KIT: "import asyncio\nasyncio.create_task(x())\n"},
    "suppressions": {_KIT: "x = 1  # noqa\n"},
    "test-docstrings": {_TEST: "def test_x():\n    pass\n"},
}

_PLANTED_IN_FAMILY = {
    "contract-conventions": (
        planted.CONTRACT,
        "STATEFULNESS_STATELESS",
        "STATEFULNESS_UNSPECIFIED",
    ),
    "contract-names": (planted.SETTINGS, "TellSettings", "TellData"),
    "fleet": (planted.FLEET, "replicas: 2", "replicas: two"),
}


@pytest.mark.parametrize("rule", book.TEXT_RULES)
def test_a_planted_violation_of_the_sources_is_seen(rule: str) -> None:
    """A rule without a violation here fails, so that no rule is added unproved."""
    assert list(book.TEXT_RULES[rule](Tree(_PLANTED[rule])))


@pytest.mark.parametrize(
    "planted_line",
    [
        "os.environ['KEY']",
        "os.environb[b'KEY']",
        "os.getenv('KEY')",
        "posix.environ[b'KEY']",
        "open('/proc/self/environ')",
    ],
)
def test_m122_the_environment_is_read_in_one_file(planted_line: str) -> None:
    """By no way around it: in any agent, any part of the kit, any tool."""
    text = f"import os\nimport posix\n{planted_line}\n"
    for path in (_KIT, "services/text/summarize.py"):
        (finding,) = book.TEXT_RULES["environment"](Tree({path: text}))
        assert (finding.path, finding.line) == (path, 3)


@pytest.mark.parametrize("rule", book.CONTRACT_RULES)
def test_a_planted_violation_of_the_contracts_is_seen(rule: str) -> None:
    """The same for the rules that read compiled contracts."""
    path, before, after = _PLANTED_IN_FAMILY[rule]
    tree = planted.changed(path, lambda text: text.replace(before, after))
    assert list(book.CONTRACT_RULES[rule](tree, Contracts.of(tree)))


def test_the_whole_book_reads_a_healthy_tree_without_a_finding() -> None:
    """The rules do not contradict each other: a tree exists that pleases them all."""
    assert list(book.check(planted.healthy())) == []
