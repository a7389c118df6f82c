"""Every name of an agent, derived from the full name of its protobuf service alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_SERVICE = re.compile(
    r"tandem\.(?P<family>[a-z][a-z0-9]*)\.(?P<version>v[0-9]+)\.(?P<agent>[A-Z][A-Za-z0-9]*)Service"
)
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z][a-z0-9]*|[A-Z]+")
_INSTANCE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+")

INFERENCE: Final = "inference.GRPCInferenceService"
# Contracts of protocols that others made, and that their clients call by these very names. Each
# bears a name of ours besides, of which all else derives: docs/adr/0039.
OF_OTHERS: Final[Mapping[str, str]] = {
    INFERENCE: "tandem.gateway.v1.KserveService",
}


@dataclass(frozen=True, slots=True)
class AgentName:
    """The names of one agent.

    `tandem.text.v1.SummarizeService` is served by `services/text/summarize.py`, built as
    `services/text:summarize` and shown as `text-summarize`. `service` is what it is called by.
    """

    service: str
    family: str
    version: str
    words: tuple[str, ...]

    @classmethod
    def of(cls, service: str) -> AgentName:
        """Raises ValueError where `service` is not the full name of one of our contracts, or of one
        that stands in OF_OTHERS.
        """
        match = _SERVICE.fullmatch(OF_OTHERS.get(service, service))
        if match is None:
            raise ValueError(
                f"{service!r} is no name of the form tandem.<family>.v<n>.<Agent>Service"
            )
        words = tuple(word.lower() for word in _WORD.findall(match["agent"]))
        return cls(service, match["family"], match["version"], words)

    @property
    def short(self) -> str:
        """What Consul, the fleet file and the CLI show: `text-summarize`."""
        return "-".join((self.family, *self.words))

    @property
    def snake(self) -> str:
        """The agent's own part, as files are called: `summarize`."""
        return "_".join(self.words)

    @property
    def module(self) -> str:
        """The Python module, or the package of an agent that outgrew one:
        `services.text.summarize`.
        """
        return f"services.{self.family}.{self.snake}"

    @property
    def target(self) -> str:
        """The build target: `services/text:summarize`."""
        return f"services/{self.family}:{self.snake}"

    @property
    def package(self) -> str:
        """Where the reasons stand for which it fails: `tandem.text.v1`."""
        return f"tandem.{self.family}.{self.version}"

    @property
    def proto(self) -> str:
        """The contract's file below the proto root: `tandem/text/v1/summarize_service.proto`."""
        package, _, name = self.service.rpartition(".")
        file = "_".join(word.lower() for word in _WORD.findall(name))
        return f"{package.replace('.', '/')}/{file}.proto"

    def owns(self, instance: str) -> bool:
        """Whether `instance` is this agent's short name, alone or with a suffix after a hyphen."""
        if _INSTANCE.fullmatch(instance) is None:
            return False
        return instance == self.short or instance.startswith(f"{self.short}-")


# Packages of contracts in OF_OTHERS, each with the family that serves it.
FAMILY_OF_OTHERS: Final[Mapping[str, str]] = {
    service.rpartition(".")[0]: AgentName.of(service).family for service in OF_OTHERS
}
