"""The contracts as buf judges them: their form, and whether they still serve yesterday's callers.

Works on descriptor images alone, so neither git nor a network is asked.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tools.stubs import ContractFailure, write_image

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
BASELINE = PROTOS / "baseline.binpb"
CONFIG = ROOT / "buf.yaml"

# buf's exit code for "read everything, and found something".
_FOUND_SOMETHING = 100
_EXIT_UNJUDGED = 2


class BufFailure(Exception):
    """buf could not judge: it is missing, or it could not read what it was given."""


@dataclass(frozen=True, order=True, slots=True)
class ContractFinding:
    """One thing buf objects to. Line 1 where a deleted element has no line any more."""

    path: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"protos/{self.path}:{self.line}: buf: {self.rule}: {self.message}"


def image(protos: Path, out: Path) -> None:
    """Writes all contracts below `protos`, what they import and their comments as one image."""
    write_image(out, protos)


def lint(contracts: Path, config: Path = CONFIG) -> list[ContractFinding]:
    """What buf's STANDARD and COMMENTS rules say about an image made by `image`."""
    return _buf("lint", _input(contracts), config=config)


def breaking(
    contracts: Path, baseline: Path = BASELINE, config: Path = CONFIG
) -> list[ContractFinding]:
    """What a client built from the baseline would no longer find in the image."""
    if not baseline.is_file():
        message = f"{baseline} is missing: without it no breaking change is seen; restore it"
        raise BufFailure(message)
    against = ("--against", _input(baseline), "--exclude-imports")
    return _buf("breaking", _input(contracts), *against, config=config)


def write_baseline(protos: Path = PROTOS, baseline: Path = BASELINE) -> None:
    """Makes today's contracts what later ones are held against. Part of a release, of nothing else.

    Imports stay, comments go; the same contracts always give the same bytes.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "image.binpb")
        image(protos, made)
        contracts = FileDescriptorSet.FromString(made.read_bytes())
    for file in contracts.file:
        file.ClearField("source_code_info")
    part = baseline.with_suffix(".part")
    part.write_bytes(contracts.SerializeToString(deterministic=True))
    part.replace(baseline)


def _input(path: Path) -> str:
    return f"{path}#format=binpb"


def _buf(command: str, *arguments: str, config: Path) -> list[ContractFinding]:
    binary = Path(sysconfig.get_path("scripts"), "buf")
    if not binary.exists():
        message = "buf is not installed beside this Python; the PyPI package buf-bin carries it"
        raise BufFailure(message)
    argv = [str(binary), command, *arguments, "--config", str(config), "--error-format", "json"]
    with _empty_home() as environment:
        done = subprocess.run(argv, capture_output=True, check=False, text=True, env=environment)
    if done.returncode not in {0, _FOUND_SOMETHING}:
        message = f"buf {command} failed: {done.stderr.strip()}"
        raise BufFailure(message)
    return sorted({_finding(line) for line in done.stdout.splitlines()})


@contextmanager
def _empty_home() -> Iterator[dict[str, str]]:
    """An environment without BUF_* settings, logins or caches: every machine judges alike."""
    with tempfile.TemporaryDirectory() as folder:
        yield {"HOME": folder, "BUF_CACHE_DIR": folder, "BUF_CONFIG_DIR": folder}


def _finding(line: str) -> ContractFinding:
    found = json.loads(line)
    path, number = found.get("path", "baseline.binpb"), found.get("start_line", 1)
    return ContractFinding(path, number, found["type"], found["message"])


def judge(protos: Path = PROTOS, baseline: Path = BASELINE) -> list[ContractFinding]:
    """Both judgements over one image."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "image.binpb")
        image(protos, made)
        return [*lint(made), *breaking(made, baseline)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Judges the contracts, or with `write-baseline` makes them the ones to hold."""
    parser = argparse.ArgumentParser(prog="tools/contracts.py", description=__doc__)
    parser.add_argument("action", nargs="?", choices=("check", "write-baseline"), default="check")
    action = parser.parse_args(arguments).action
    try:
        found = [] if action == "write-baseline" else judge()
        if action == "write-baseline":
            write_baseline()
    except ContractFailure:
        print("contracts: protoc refuses them, see above", file=sys.stderr)
        return _EXIT_UNJUDGED
    except BufFailure as error:
        print(f"contracts: {error}", file=sys.stderr)
        return _EXIT_UNJUDGED
    for finding in found:
        print(finding)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
