"""The fleet files, read as `./tandem up` reads them, against contracts that need no stubs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from google.protobuf.message import Message

from tandemkit.audit.finding import Finding
from tandemkit.fleet.stanzas import Fleet, Kinds
from tools.rules import agents
from tools.rules.descriptors import Contracts
from tools.rules.tree import Tree

RULE = "fleet"
_FAMILY = "tandem.fleet.v1.Family"


def check(tree: Tree, contracts: Contracts) -> Iterator[Finding]:
    """Findings for fields that do not exist, values that do not fit, rules that a value breaks."""
    declared = _settings_by_service(tree)

    def settings(service: str) -> Message | None:
        if service not in declared:
            raise LookupError(f"no agent declares `{service}`")
        name = declared[service]
        return contracts.message_class(name)() if name else None

    files = {
        path: text
        for path, text in tree.files.items()
        if re.fullmatch(r"deploy/fleet/[^/]+\.yaml", path)
    }
    for mistake in Fleet.read(files, Kinds(contracts.message_class(_FAMILY), settings)).mistakes:
        yield Finding(mistake.path, mistake.line, RULE, mistake.message, mistake.column)


def _settings_by_service(tree: Tree) -> dict[str, str]:
    by_contract = {item.contract: item.settings for item in agents.declarations(tree)}
    return {
        name.service: by_contract.get(name.proto.removesuffix(".proto"), "")
        for _, name in agents.contracts(tree)
    }
