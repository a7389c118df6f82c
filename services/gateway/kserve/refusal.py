"""What the agent refuses. Clients of the protocol show the message alone, so it names what varies;
programs find that in the metadata.
"""

from __future__ import annotations

from tandem.gateway.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.hosting.access import Reasons

# Of refusals by rights.
RIGHTS = Reasons(errors.ERROR_REASON_NAMESPACE_FORBIDDEN, errors.ERROR_REASON_RULES_UNKNOWN)
_RETRY_S = 1.0
# What callers sent stands in it, and a status has to fit into headers.
_CHARS_MAX = 240


def _said(message: str) -> str:
    return message if len(message) <= _CHARS_MAX else f"{message[:_CHARS_MAX]}..."


def unknown(name: str) -> CallerError:
    return CallerError(
        errors.ERROR_REASON_INFERENCE_MODEL_UNKNOWN,
        _said(f"there is no model `{name}`; RepositoryIndex says which there are"),
        field="model_name",
        model=name,
    )


def another_version(name: str, asked: str, there: str) -> CallerError:
    return CallerError(
        errors.ERROR_REASON_INFERENCE_MODEL_UNKNOWN,
        _said(f"model `{name}` has version `{there}`, and `{asked}` was asked for"),
        field="model_version",
        model=name,
        version=asked,
        there=there,
    )


def untold(name: str, causes: str) -> TransientError:
    """It may be a model of an agent that does not say which it has."""
    return TransientError(
        errors.ERROR_REASON_INFERENCE_MODELS_UNTOLD,
        _said(f"whether there is a model `{name}` is not known now: {causes}"),
        retry_after_s=_RETRY_S,
        model=name,
        causes=causes,
    )


def unloaded(name: str) -> TransientError:
    return TransientError(
        errors.ERROR_REASON_INFERENCE_MODEL_UNLOADED,
        _said(f"model `{name}` was unloaded here; RepositoryModelLoad gives it back"),
        retry_after_s=_RETRY_S,
        model=name,
    )


def bad_tensor(message: str, tensor: str, field: str = "inputs", **metadata: object) -> CallerError:
    return CallerError(
        errors.ERROR_REASON_TENSOR_INVALID, _said(message), field=field, tensor=tensor, **metadata
    )


def bad_parameter(message: str, parameter: str) -> CallerError:
    return CallerError(
        errors.ERROR_REASON_INFERENCE_PARAMETER_INVALID,
        _said(message),
        field="parameters",
        parameter=parameter,
    )


def unsupported(message: str, feature: str) -> CallerError:
    return CallerError(
        errors.ERROR_REASON_INFERENCE_FEATURE_UNSUPPORTED, _said(message), feature=feature
    )


def no_memory() -> CallerError:
    return unsupported("there is no shared memory here: send tensors in requests", "shared_memory")


def no_settings() -> CallerError:
    said = "there are no settings of logs and traces here: both are the fleet's"
    return unsupported(said, "settings")
