"""Models as the protocol shows them, and the agents that have them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from services.gateway.kserve.parameters import Parameters
from services.gateway.kserve.tensors import Elements, Form, Inputs

# An agent that does not say in that time which models it has is one that does not say.
LISTING_S: Final = 2.0
Outputs: TypeAlias = Mapping[str, Elements]


@dataclass(frozen=True, slots=True)
class Model:
    """`unready_cause` is empty where it can be asked. A request of one that is decoupled has any
    number of answers in a stream.
    """

    name: str
    version: str
    platform: str
    inputs: tuple[Form, ...]
    outputs: tuple[Form, ...]
    is_decoupled: bool = False
    unready_cause: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, read."""

    model: Model
    inputs: Inputs
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class Given:
    """One answer of a model. `version` is of what answered, `items` how many things it answers."""

    outputs: Outputs
    version: str
    items: int = 1
    # Of the answer: who gave it, for one.
    parameters: Mapping[str, str | bool] | None = None


class Source(Protocol):
    """An agent with models. Its methods raise CallerError, and CallFailed where the agent does."""

    async def models(self) -> Sequence[Model]:
        """All that it has."""

    async def answer(self, asked: Asked) -> Given:
        """To one request, once."""

    def answers(self, asked: Asked) -> AsyncGenerator[Given, None]:
        """The same in parts, as they are made."""

    async def load(self, model: Model) -> None:
        """Has it in memory, where that is the agent's to say."""
