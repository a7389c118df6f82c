"""The process's environment: the only file that reads `os.environ`, as values with types.

Settings of agents never come from here; this is where things lie and what a test run demands.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

# Those that are slow to get are demanded by a word of their own.
EVERY_PART, EVERY_SLOW_PART = "all", "slow"
_STAT = Path("/proc/self/stat")
# Fields behind the program's name: where the kernel keeps what the process was started with.
_ENVIRONMENT_BEGINS, _ENVIRONMENT_ENDS = 47, 48


@dataclass(frozen=True, slots=True)
class Environment:
    """A snapshot of what the process was started with.

    `root` is the checkout that `./tandem` was started from; None in a packaged agent. `home` keeps
    agents' state across runs, `cache` may be deleted at any time. `required` names the real parts
    whose absence fails a test.
    """

    home: Path
    cache: Path
    root: Path | None
    stubs: Path | None
    required: frozenset[str]
    path: str
    variables: Mapping[str, str]

    @classmethod
    def read(cls, variables: Mapping[str, str] | None = None) -> Environment:
        """What `variables` say: those of this process, unless a test hands in its own."""
        found = dict(os.environ) if variables is None else dict(variables)
        user = Path(found.get("HOME") or Path("/"))
        caches = _folder(found, "XDG_CACHE_HOME") or user / ".cache"
        states = _folder(found, "XDG_STATE_HOME") or user / ".local" / "state"
        return cls(
            home=_folder(found, "TANDEM_HOME") or states / "tandem",
            cache=caches / "tandem",
            root=_folder(found, "TANDEM_ROOT"),
            stubs=_folder(found, "TANDEM_STUBS"),
            required=frozenset(_words(found.get("TANDEM_REQUIRE", ""))),
            path=found.get("PATH", os.defpath),
            variables=found,
        )

    @property
    def tools(self) -> Path:
        """Where `tandem tools` keeps what it built, one folder for each digest of tools/go.sum."""
        return self.cache / "tools"

    @property
    def slow_tools(self) -> Path:
        """Where `tandem setup test --slow` keeps what it built, a folder for each part."""
        return self.cache / "slow-tools"

    @property
    def otlp_endpoint(self) -> str:
        """Where spans are sent by OpenTelemetry's own variables; empty for nowhere."""
        if self.variables.get("OTEL_SDK_DISABLED", "").lower() == "true":
            return ""
        base = self.variables.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").rstrip("/")
        exact = self.variables.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
        return exact or (f"{base}/v1/traces" if base else "")

    @property
    def may_colour(self) -> bool:
        """Whether a terminal may be shown colours: by NO_COLOR's own rule, and where it has any."""
        return not self.variables.get("NO_COLOR") and self.variables.get("TERM") != "dumb"

    def requires(self, part: str, *, slow: bool = False) -> bool:
        """Whether a test that lacks `part` must fail instead of skipping. `slow`: it takes minutes
        to get, which `all` does not ask for.
        """
        every = EVERY_SLOW_PART if slow else EVERY_PART
        return not self.required.isdisjoint((every, part))


def hand_to_libraries(changes: Mapping[str, str | None]) -> None:
    """For C libraries in this process that read their settings from the environment and nowhere
    else; None takes a variable away. Threads may read it meanwhile, so: before any work begins.
    """
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def prefer_for_libraries(name: str, value: str) -> None:
    """The same, unless somebody has said otherwise."""
    os.environ.setdefault(name, value)


def wipe(names: Collection[str]) -> None:
    """Takes variables away for good: out of what this process hands to others, and out of what the
    kernel shows of its start in /proc/PID/environ, which `os.environ` does not change. Before any
    thread begins.
    """
    begins, ends = _first_environment()
    at = begins
    block = ctypes.string_at(begins, ends - begins) if ends > begins else b""
    for entry in block.split(b"\0"):
        variable, _, value = entry.partition(b"=")
        if os.fsdecode(variable) in names:
            ctypes.memset(at + len(variable) + 1, 0, len(value))
        at += len(entry) + 1
    for name in names:
        os.environ.pop(name, None)


def _first_environment() -> tuple[int, int]:
    """The addresses of the block that the process was started with; the same one twice where the
    system does not tell.
    """
    try:
        # The second field is the program's name, which may hold anything.
        fields = _STAT.read_text().rpartition(")")[2].split()
        return int(fields[_ENVIRONMENT_BEGINS]), int(fields[_ENVIRONMENT_ENDS])
    except (OSError, IndexError):
        return 0, 0


def _folder(variables: Mapping[str, str], name: str) -> Path | None:
    # The XDG rules: a relative path is invalid and counts as unset.
    text = variables.get(name, "")
    path = Path(text)
    return path if text and path.is_absolute() else None


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
