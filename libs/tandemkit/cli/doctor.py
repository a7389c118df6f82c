"""`tandem doctor`: what is present, what is missing, how to get it."""

from __future__ import annotations

import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from tandemkit.cli.checkout import root_of
from tandemkit.cli.output import EXIT_NO, as_json, emit, examples, table
from tandemkit.cli.parts import PARTS, Part, Source, find
from tandemkit.core.environment import Environment

# The environment, Pants with its caches, and the tools; without torch.
_DISK_GB_MIN = 3.0
_LOOPBACK, _FLEET_PORT = "127.0.0.1", 8200
_PRESENT, _FETCHED, _MISSING = "present", "fetched on use", "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's answer. Only a missing part that is `required` makes it a no."""

    name: str
    state: str
    required: bool
    detail: str
    how_to_get: str

    @property
    def row(self) -> tuple[str, ...]:
        need = "required" if self.required else "optional"
        detail = self.how_to_get if self.state == _MISSING else self.detail
        return (self.name, self.state, need, detail)


def examine(environment: Environment) -> list[Finding]:
    """Looks at everything; starts nothing but programs that tell their version."""
    return [*_required(environment), *_optional(environment)]


def _required(environment: Environment) -> Iterator[Finding]:
    here = f"{platform.python_version()} at {Path(sys.base_prefix)}"
    yield Finding("python 3.11", _PRESENT, True, here, "")
    older = _python_39(environment)
    yield Finding(
        "python 3.9",
        _PRESENT if older else _MISSING,
        True,
        older or "",
        "pyenv install 3.9 or uv python install 3.9 (Pants runs on it)",
    )
    yield Finding("environment", _PRESENT, True, sys.prefix, "")
    yield _disk(environment)
    yield _loopback()


def _optional(environment: Environment) -> Iterator[Finding]:
    yield _buf(environment)
    for part in PARTS:
        yield _part(part, environment)


def _part(part: Part, environment: Environment) -> Finding:
    found = find(part, environment)
    if found:
        first = str(next(iter(found.values())))
        return Finding(part.name, _PRESENT, False, first, part.how_to_get)
    state = _FETCHED if part.source is Source.PACKAGE else _MISSING
    return Finding(part.name, state, False, part.how_to_get, part.how_to_get)


def _buf(environment: Environment) -> Finding:
    pins = (root_of(environment) / "pins.txt").read_text()
    pinned = next(
        (line.split(" ")[0] for line in pins.splitlines() if line.startswith("buf-bin=")), ""
    )
    how = "add buf-bin to the test group of pyproject.toml and run ./tandem pin"
    detail = f"./pants test :: fetches it ({pinned}, pinned in pins.txt)"
    return Finding("buf", _FETCHED if pinned else _MISSING, True, detail, how)


def _python_39(environment: Environment) -> str | None:
    """Where ./pants would find it: PANTS_PYTHON, PATH, pyenv."""
    variables = environment.variables
    pyenv = Path(variables.get("PYENV_ROOT") or Path(variables.get("HOME", "/")) / ".pyenv")
    installed = [str(path) for path in sorted(pyenv.glob("versions/3.9.*/bin/python3.9"))]
    named = [variables["PANTS_PYTHON"]] if variables.get("PANTS_PYTHON") else []
    on_path = shutil.which("python3.9", path=environment.path)
    ask = "import sys, ensurepip; print(sys.version.split()[0], 'at', sys.prefix)"
    for candidate in (*named, *installed, *([on_path] if on_path else [])):
        try:
            said = subprocess.run(
                [candidate, "-c", ask], capture_output=True, text=True, check=False
            )
        except OSError:
            continue
        if said.stdout.startswith("3.9."):
            return said.stdout.strip()
    return None


def _disk(environment: Environment) -> Finding:
    place = next(path for path in (environment.cache, *environment.cache.parents) if path.exists())
    free_gb = shutil.disk_usage(place).free / 1e9
    enough = free_gb >= _DISK_GB_MIN
    how = f"free {_DISK_GB_MIN:.0f} GB at {place} ({free_gb:.1f} GB are free) or set XDG_CACHE_HOME"
    return Finding(
        "disk", _PRESENT if enough else _MISSING, True, f"{free_gb:.0f} GB free at {place}", how
    )


def _loopback() -> Finding:
    how = "allow this user to listen on 127.0.0.1: agents and tests take free ports there"
    try:
        with socket.create_server((_LOOPBACK, 0)):
            pass
    except OSError as error:
        return Finding("ports", _MISSING, True, "", f"{how} ({error.strerror})")
    fleet = "free" if _is_free(_FLEET_PORT) else "taken: ./tandem up needs --address there"
    detail = f"{_LOOPBACK} gives free ports; {_FLEET_PORT}, which ./tandem up takes, is {fleet}"
    return Finding("ports", _PRESENT, True, detail, how)


def _is_free(port: int) -> bool:
    try:
        with socket.create_server((_LOOPBACK, port)):
            return True
    except OSError:
        return False


@click.command(
    short_help="Say what is present, what is missing and how to get it.",
    epilog=examples(
        "./tandem doctor",
        "./tandem doctor --json | jq -r '.parts[] | select(.state == \"missing\") | .how_to_get'",
    ),
)
@as_json
def doctor(*, as_json: bool) -> int:
    """Say what is present, what is missing and how to get it.

    Exits 0 when all that running and testing require is here; parts that are optional make the
    tests that need them skip.
    """
    findings = examine(Environment.read())
    lacking = [finding for finding in findings if finding.required and finding.state == _MISSING]
    absent = [finding for finding in findings if finding.state == _MISSING]
    value = {"ok": not lacking, "parts": [asdict(finding) for finding in findings]}

    def text() -> str:
        verdict = f"{len(lacking)} required missing" if lacking else "all that is required is here"
        rows = table([finding.row for finding in findings])
        return f"{rows}\n\n{verdict}; {len(absent)} missing in all."

    emit(value, as_json=as_json, text=text)
    return EXIT_NO if lacking else 0
