"""The host for Node: when it is built anew, and when it cannot be."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from tandemkit.cli import node_host
from tandemkit.cli.node_host import SOURCES, obtain
from tandemkit.cli.output import Refusal
from tandemkit.cli.parts import BY_NAME
from tandemkit.cli.steps import Steps
from tandemkit.core.environment import Environment

_CONTRACTS = (
    *("control/v1/host_service", "control/v1/errors", "control/v1/registry_service"),
    *("control/v1/traffic_policy", "fleet/v1/plan", "type/v1/platform_error"),
    *("polyglot/v1/page_text_service", "options/v1/options"),
)


@pytest.fixture
def checkout(tmp_path: Path) -> Environment:
    """One with little in it, on a machine without Node."""
    for name in _CONTRACTS:
        path = tmp_path / f"root/protos/tandem/{name}.proto"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"// {name}\n")
    service = tmp_path / "root/protos/tandem/polyglot/v1/page_text_service.proto"
    service.write_text('import "tandem/options/v1/options.proto";\n')
    (tmp_path / "root" / SOURCES).mkdir(parents=True)
    (tmp_path / "root" / SOURCES / "package.json").write_text("{}")
    (tmp_path / "bin").mkdir()
    known = {"HOME": str(tmp_path), "PATH": str(tmp_path / "bin")}
    return replace(Environment.read(known), root=tmp_path / "root")


def place(checkout: Environment, version: str) -> None:
    """Programs of that version which can say no more than it."""
    for name in ("node", "npm"):
        program = Path(checkout.path) / name
        program.write_text(f"#!/usr/bin/env -S printf {version}\\n#")
        program.chmod(0o755)


async def built(checkout: Environment) -> node_host.NodeHost:
    return await obtain(checkout, Steps(io.StringIO(), checkout.cache))


async def test_without_node_it_is_refused(
    checkout: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to install."""
    monkeypatch.setattr("tandemkit.cli.parts._SERVER_FOLDERS", ())
    with pytest.raises(Refusal, match="Node is absent") as refused:
        await built(checkout)
    assert BY_NAME["node"].how_to_get in str(refused.value)


async def test_a_node_that_is_too_old_is_refused(checkout: Environment) -> None:
    """Before anything is fetched for it."""
    place(checkout, "v18.19.0")
    with pytest.raises(Refusal, match="too old"):
        await built(checkout)


async def test_what_is_built_is_found_until_something_changes(checkout: Environment) -> None:
    """A source, or a contract that it speaks, also by way of another; no other file counts."""
    place(checkout, "v18.19.0")
    root, folder = checkout.root, checkout.cache / "polyglot"
    assert root is not None
    home = folder / f"node-{node_host._digest(root)}"
    home.mkdir(parents=True)
    assert (await built(checkout)).folder == home
    (root / SOURCES / "node_modules").mkdir()
    (root / SOURCES / "node_modules" / "package.js").write_text("")
    (root / "protos/tandem/polyglot/v1/README.md").write_text("")
    assert (await built(checkout)).folder == home
    options = root / "protos/tandem/options/v1/options.proto"
    for path in (options, root / SOURCES / "package.json"):
        before = path.read_text()
        path.write_text("// another one\n")
        with pytest.raises(Refusal, match="too old"):
            await built(checkout)
        path.write_text(before)
        assert (await built(checkout)).folder == home
