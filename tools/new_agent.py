"""Starts a new agent: `new_agent.py text/summarize` writes its contract, module and tests.

It prints the build line, the stanza and the news fragment, or writes these too (`--write-all`).
"""

from __future__ import annotations

import argparse
import keyword
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from ruff import find_ruff_bin  # type: ignore[import-untyped]  # ruff carries no types

from tandemkit.core.names import AgentName
from tools import agent_template as template

_WHICH = re.compile(r"(?P<family>[a-z][a-z0-9]*)/(?P<agent>[a-z][a-z0-9]*(_[a-z][a-z0-9]*)*)")
_RPC = re.compile(r"([A-Z][a-z0-9]*)+")
_PLATFORM = frozenset({"fleet", "options", "type"})
_EXIT_USAGE = 2


class Refusal(Exception):
    """The agent cannot be made as asked; the message says what to change."""


@dataclass(frozen=True, slots=True)
class NewAgent:
    """What was asked for, in every spelling that follows from it."""

    name: AgentName
    rpc: str
    purpose: str
    # The agents that it calls.
    callees: tuple[AgentName, ...] = ()

    @classmethod
    def asked(
        cls, which: str, rpc: str = "", purpose: str = "", calls: Sequence[str] = ()
    ) -> NewAgent:
        """Raises Refusal for a name that no agent can have."""
        name, callees = _named(which), tuple(_named(one) for one in calls)
        if len({one.snake for one in (name, *callees)}) <= len(callees):
            message = "two of these agents would have one name in the module; add one by hand"
            raise Refusal(message)
        if rpc and not _RPC.fullmatch(rpc):
            message = f"{rpc!r} is no method name such as SummarizeText"
            raise Refusal(message)
        said = purpose or f"{' '.join(name.words).capitalize()}."
        own = name.service.rpartition(".")[2].removesuffix("Service")
        return cls(name, rpc or own, said if said.endswith(".") else f"{said}.", callees)

    def fill(self, text: Template) -> str:
        """The template with this agent's names in it."""
        return text.substitute(
            agent="".join(word.capitalize() for word in self.name.words),
            core=_snake(self.rpc),
            family=self.name.family,
            module=self.name.module,
            package=_package(self.name),
            purpose=self.purpose,
            rpc=self.rpc,
            service=self.name.service,
            short=self.name.short,
            snake=self.name.snake,
            **self._calling(),
        )

    def _calling(self) -> dict[str, str]:
        """What differs in one that calls others."""
        callees = self.callees
        modules = [(one.snake, f"{one.snake}_service_pb2") for one in callees]
        classes = [
            (one.snake, f"{one.snake}_service_pb2_grpc.{one.service.rpartition('.')[2]}")
            for one in callees
        ]
        init = template.INIT.substitute(
            parameters=", ".join(f"{name}: {made}AsyncStub" for name, made in classes),
            assignments="\n        ".join(f"self._{name} = {name}" for name, _ in classes),
        )
        imports = "".join(
            f"from {_package(one)} import {one.snake}_service_pb2\n" for one in callees
        )
        return {
            "stub_imports": imports + imports.replace("_pb2\n", "_pb2_grpc\n"),
            "init": init if callees else "",
            "scope": "scope" if callees else "_scope",
            "stubs": ", ".join(f"scope.stub({made}Stub)" for _, made in classes),
            "calls": _tuple("calls", [f"{module}.DESCRIPTOR" for _, module in modules]),
            "beside": _tuple("beside", [f"fake_agent({one}.DESCRIPTOR)" for _, one in modules]),
            "fake_import": "fake_agent, " if callees else "",
        }


def _named(which: str) -> AgentName:
    match = _WHICH.fullmatch(which)
    if match is None:
        message = f"{which!r} is no <family>/<agent> in lower case, such as text/summarize"
        raise Refusal(message)
    family, agent = match["family"], match["agent"]
    if family in _PLATFORM or keyword.iskeyword(family) or keyword.iskeyword(agent):
        message = f"{which!r} uses a word that the platform or Python keeps for itself"
        raise Refusal(message)
    words = "".join(word.capitalize() for word in agent.split("_"))
    name = AgentName.of(f"tandem.{family}.v1.{words}Service")
    if name.snake != agent:
        message = f"{agent!r} would be spelled {name.snake!r} everywhere else; use that"
        raise Refusal(message)
    return name


def _package(name: AgentName) -> str:
    return name.service.rpartition(".")[0]


def _tuple(keyword: str, items: Sequence[str]) -> str:
    return f"{keyword}=({', '.join(items)},), " if items else ""


def written(new: NewAgent) -> dict[str, str]:
    """Steps 1 to 3 by path: contract, module, tests."""
    family, snake = new.name.family, new.name.snake
    return {
        f"protos/{new.name.proto}": new.fill(template.CONTRACT),
        f"services/{family}/{snake}.py": new.fill(template.MODULE),
        f"tests/unit/services/{family}/test_{snake}.py": new.fill(template.TEST),
    }


def of_family(new: NewAgent) -> dict[str, str]:
    """What a family's first agent brings besides: the place for its reasons to fail."""
    folder = f"protos/tandem/{new.name.family}/{new.name.version}"
    return {f"{folder}/errors.proto": new.fill(template.ERRORS)}


def printed(new: NewAgent, root: Path) -> dict[str, str]:
    """Steps 4 to 6 by path: the whole file as it has to be afterwards."""
    build = root / f"services/{new.name.family}/BUILD"
    fleet = root / f"deploy/fleet/{new.name.family}.yaml"
    slug = new.name.snake.replace("_", "-")
    return {
        f"services/{new.name.family}/BUILD": _text(build) + new.fill(template.BUILD_LINE),
        f"deploy/fleet/{new.name.family}.yaml": (
            (_text(fleet) or "agents:\n") + new.fill(template.STANZA)
        ),
        f"changes/{slug}.contract.md": new.fill(template.FRAGMENT),
    }


def make(new: NewAgent, root: Path, *, write_all: bool = False) -> Mapping[str, str]:
    """Writes the agent's files and returns them. Nothing is written where one exists already."""
    files = written(new)
    if not (root / f"protos/tandem/{new.name.family}").exists():
        files |= of_family(new)
    _refuse_to_overwrite(new, root, files)
    for callee in new.callees:
        if not (root / "protos" / callee.proto).exists():
            message = f"there is no protos/{callee.proto} to call"
            raise Refusal(message)
    if write_all:
        files |= printed(new, root)
    for path, text in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    _format([root / path for path in files if path.endswith(".py")], root)
    return files


def _refuse_to_overwrite(new: NewAgent, root: Path, files: Mapping[str, str]) -> None:
    folder = f"services/{new.name.family}/{new.name.snake}"
    taken = [path for path in (*files, folder) if (root / path).exists()]
    if taken:
        message = f"{taken[0]} exists already; nothing was written"
        raise Refusal(message)
    for proto in sorted((root / f"protos/tandem/{new.name.family}").rglob("*.proto")):
        if re.search(rf"^message {new.rpc}(Request|Response)\b", _text(proto), re.MULTILINE):
            message = f"{proto.name} has a {new.rpc}Request; name another method with --rpc"
            raise Refusal(message)


def _format(paths: Sequence[Path], root: Path) -> None:
    """How lines break depends on how long the names are, so the formatter has the last word."""
    for action in (("check", "--quiet", "--fix", "--select", "I"), ("format", "--quiet")):
        subprocess.run([find_ruff_bin(), *action, *map(str, paths)], check=True, cwd=root)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _root() -> Path:
    """The checkout that the command was called in; this file may run from a copy elsewhere."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "pants.toml").is_file():
            return folder
    message = "call this inside a checkout: no pants.toml here or above"
    raise Refusal(message)


def _report(new: NewAgent, files: Mapping[str, str], *, write_all: bool) -> None:
    print("Written:", *(f"  {path}" for path in files), sep="\n")
    if not write_all:
        print(f"\n4. services/{new.name.family}/BUILD gets the line\n")
        print(new.fill(template.BUILD_LINE))
        print(f"5. deploy/fleet/{new.name.family}.yaml gets, under `agents:`\n")
        print(new.fill(template.STANZA))
        print(f"6. changes/{new.name.snake.replace('_', '-')}.contract.md says\n")
        print(new.fill(template.FRAGMENT))
    print("Green is: ./pants lint check test --changed-since=main")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exits 2, with one sentence, where the agent cannot be made as asked."""
    parser = argparse.ArgumentParser(prog="new_agent.py", description=__doc__)
    parser.add_argument("which", metavar="family/agent", help="such as text/summarize")
    parser.add_argument("--rpc", default="", help="its first method (default: the agent's name)")
    parser.add_argument("--calls", default=[], nargs="+", help="agents it calls: family/agent ...")
    parser.add_argument("--purpose", default="", help="one sentence: what it is for")
    parser.add_argument("--write-all", action="store_true", help="write steps 4 to 6 too")
    asked = parser.parse_args(arguments)
    try:
        new = NewAgent.asked(asked.which, asked.rpc, asked.purpose, asked.calls)
        files = make(new, _root(), write_all=asked.write_all)
    except Refusal as error:
        print(f"new_agent: {error}", file=sys.stderr)
        return _EXIT_USAGE
    _report(new, files, write_all=asked.write_all)
    return 0


if __name__ == "__main__":
    sys.exit(main())
