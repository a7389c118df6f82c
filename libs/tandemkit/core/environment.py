"""The process's environment: the only file that reads `os.environ`, as values with types.

Settings of agents never come from here; this is where things lie and what a test run demands.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

EVERY_PART = "all"


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

    def requires(self, part: str) -> bool:
        """Whether a test that lacks `part` must fail instead of skipping."""
        return EVERY_PART in self.required or part in self.required


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


def _folder(variables: Mapping[str, str], name: str) -> Path | None:
    # The XDG rules: a relative path is invalid and counts as unset.
    text = variables.get(name, "")
    path = Path(text)
    return path if text and path.is_absolute() else None


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
