"""schemathesis, unchanged and in an environment of its own, over the document of a gateway."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandemkit.core.environment import Environment
from tandemkit.testing.parts import demand

HOOKS = Path(__file__).resolve().parent / "product" / "hooks.py"
# Their things are the fleet itself: what stops, places and routes agents, and what they are told.
_OF_THE_FLEET = {"control", "platform"}
_CASES = re.compile(r"(\d+) generated")
_STREAM_S = 1.0
_EVENTS = "text/event-stream"


@dataclass(frozen=True)
class Order:
    """Whom to ask and how much: `examples` for each operation, at most `seconds` for all of them.
    With `is_refused` all that counts is that nothing is answered.
    """

    url: str
    token: str
    examples: int
    seconds: int
    workers: int = 1
    is_refused: bool = False


@dataclass(frozen=True)
class Fuzzed:
    """What came of it: `output` is what schemathesis printed."""

    cases: int
    operations: int
    has_passed: bool
    output: str


def is_kept_from(operation: Mapping[str, Any], families: Mapping[str, str]) -> bool:
    """Whether asking it for real could end or change the fleet that is asked: by the contract."""
    family = families[operation["tags"][0]]
    return family in _OF_THE_FLEET and operation["x-tandem-effect"] == "changes"


def divided(document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The document of what is asked for real, and of what only a wrong token may ask."""
    families = {one["name"]: one["x-tandem-family"] for one in document["tags"]}
    asked: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    for path, ways in document["paths"].items():
        for verb, operation in ways.items():
            side = kept if is_kept_from(operation, families) else asked
            side.setdefault(path, {})[verb] = operation
    return document | {"paths": asked}, document | {"paths": kept}


def fuzz(document: dict[str, Any], order: Order, folder: Path) -> Fuzzed:
    """Everything in it; `folder` is for what schemathesis reads and writes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "openapi.json").write_text(json.dumps(document))
    (folder / "schemathesis.toml").write_text(_configuration(document, order))
    argv = [str(demand("schemathesis")["st"]), "--config-file", "schemathesis.toml", "run"]
    argv += ["openapi.json", "--url", order.url, "--no-color", "--phases", "coverage,fuzzing"]
    done = subprocess.run(
        argv,
        cwd=folder,
        env={
            "PATH": Environment.read().path,
            "HOME": str(folder),
            "SCHEMATHESIS_HOOKS": str(HOOKS),
            "TANDEM_FUZZ_TOKEN": order.token,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    cases = _CASES.search(output)
    operations = sum(len(ways) for ways in document["paths"].values())
    return Fuzzed(int(cases[1]) if cases else 0, operations, done.returncode == 0, output)


def valid(document: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """What the validator of the OpenAPI initiative's Python project says of it."""
    path = folder / "validated.json"
    path.write_text(json.dumps(document))
    program = str(demand("schemathesis")["openapi-spec-validator"])
    return subprocess.run([program, str(path)], capture_output=True, text=True, check=False)


_CHECKS = """
[checks.positive_data_acceptance]
enabled = false
[checks.negative_data_rejection]
expected-statuses = ["4xx", "501", "503", "504"]
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "501", "503", "504"]
# It knows only 405, and a head may be too large before anybody looks at its verb.
[checks.unsupported_method]
enabled = false
[checks.is_refused]
enabled = false
"""
_ONLY_REFUSED = """
[checks]
enabled = false
[checks.is_refused]
enabled = true
"""


def _configuration(document: dict[str, Any], order: Order) -> str:
    """In schemathesis's own form. `is_read` stands for its check that what fits is accepted: no
    schema says what an agent finds wrong with a pattern, or a document that it does not have.
    """
    return f"""\
workers = {order.workers}
max-time = {order.seconds}
continue-on-failure = true
request-timeout = 30
max-stream-events = 3
generation.max-examples = {order.examples}
generation.database = "none"
[auth.openapi]
token = {{ bearer = "${{TANDEM_FUZZ_TOKEN}}" }}
{_ONLY_REFUSED if order.is_refused else _CHECKS}
[[operations]]
include-operation-id = {json.dumps(_streams(document))}
request-timeout = {_STREAM_S}
"""


def _streams(document: dict[str, Any]) -> list[str]:
    """What may never end. There is always one: an empty list would be refused."""
    return [
        operation["operationId"]
        for ways in document["paths"].values()
        for operation in ways.values()
        if _EVENTS in operation["responses"]["200"]["content"]
    ] or ["none"]
