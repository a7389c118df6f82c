"""What a request says besides its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from inference.tensor_pb2 import InferParameter
from services.gateway.kserve.refusal import bad_parameter, unsupported
from tandemkit.rpc.priority import Priority

Value: TypeAlias = bool | int | float | str
FINAL = "triton_enable_empty_final_response"
_OF_SEQUENCES = ("sequence_id", "sequence_start", "sequence_end")
_MICROSECONDS = 1_000_000
# Whoever would wait for longer than a day waits for that.
_WITHIN_S_MAX = 86_400.0


@dataclass(frozen=True, slots=True)
class Parameters:
    """`within_s` is None, and `headers` are empty, where nothing is said of them. `own` are those
    that the model is to know.
    """

    within_s: float | None = None
    headers: tuple[tuple[str, str], ...] = ()
    ends_empty: bool = False
    own: Mapping[str, Value] = field(default_factory=dict)


def read(sent: Mapping[str, InferParameter]) -> Parameters:
    """Raises CallerError."""
    own = {name: _value(name, said) for name, said in sent.items()}
    for name in _OF_SEQUENCES:
        if name in own:
            said = f"`{name}` is of a sequence, and no model here keeps any"
            raise unsupported(said, "sequence")
    priority = _whole(own, "priority")
    timeout = _whole(own, "timeout")
    ends_empty = own.pop(FINAL, False)
    if not isinstance(ends_empty, bool):
        raise bad_parameter(f"parameter `{FINAL}` is true or false", FINAL)
    return Parameters(
        within_s=min(timeout / _MICROSECONDS, _WITHIN_S_MAX) if timeout else None,
        # A call may be of a lesser class than that of its caller, never of a greater one.
        headers=(Priority.BATCH.header,) if priority >= 2 else (),
        ends_empty=ends_empty,
        own=own,
    )


def chosen(own: Mapping[str, Value], name: str, choices: Mapping[str, int]) -> int:
    """What one of `choices` stands for; 0 where nothing is said. Raises CallerError."""
    said = own.get(name)
    if said is None:
        return 0
    if not isinstance(said, str) or said not in choices:
        listed = ", ".join(f"`{choice}`" for choice in choices)
        raise bad_parameter(f"parameter `{name}` is one of {listed}", name)
    return choices[said]


def worded(own: Mapping[str, Value], name: str) -> str:
    """A text; empty where nothing is said. Raises CallerError."""
    said = own.get(name, "")
    if not isinstance(said, str):
        raise bad_parameter(f"parameter `{name}` is a text", name)
    return said


def check_known(own: Mapping[str, Value], known: tuple[str, ...]) -> None:
    """Raises CallerError for one that would be without effect."""
    for name in own.keys() - set(known):
        listed = ", ".join(f"`{one}`" for one in ("priority", "timeout", *known))
        raise bad_parameter(f"the model knows no parameter `{name}`; it knows {listed}", name)


def _value(name: str, said: InferParameter) -> Value:
    choice = said.WhichOneof("parameter_choice")
    if choice is None:
        raise bad_parameter(f"parameter `{name}` has no value", name)
    value: Value = getattr(said, choice)
    return value


def _whole(own: dict[str, Value], name: str) -> int:
    """Taken out; 0 where it is not there."""
    value = own.pop(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise bad_parameter(f"parameter `{name}` is a whole number that is not below 0", name)
    return value
