"""Who may import whom: the layers of the kit, and the walls between agents."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tandemkit.audit.finding import Finding
from tandemkit.audit.syntax import Import, Module
from tandemkit.core.names import FAMILY_OF_OTHERS
from tools.rules import agents
from tools.rules.tree import Tree

RULE = "layers"
_BUILD = "libs/BUILD"

# Each layer may import those before it, and itself; neighbours within one entry stay apart.
_LAYERS = (
    ("core",),
    ("supervise",),
    ("rpc",),
    ("audit", "reach", "written"),
    ("registry", "telemetry", "storage", "ml", "secrecy"),
    ("mesh",),
    ("hosting",),
    ("fleet",),
    ("machine",),
    ("cli",),
)
_RANK = {name: rank for rank, names in enumerate(_LAYERS) for name in names}
_OPEN_TO_SERVICES = frozenset(name for name in _RANK if name not in {"audit", "fleet", "cli"})
_SHARED_PROTOS = ("tandem.type.", "tandem.options.", "tandem.fleet.")
_NEVER_IMPORTED = ("tests", "tools", "deploy")
_MESSAGE_SIDE = ("agent", "servicer")


def check(tree: Tree) -> Iterator[Finding]:
    """Findings for imports that point up, sideways, or at what nothing may import."""
    yield from _unknown_to_the_build(tree)
    called = _called_packages(tree)
    for module in tree.modules:
        for item in module.imports:
            message = _objection(module, item, called.get(_own_folder(module), frozenset()))
            if message:
                yield Finding(module.path, item.line, RULE, message)


def _unknown_to_the_build(tree: Tree) -> Iterator[Finding]:
    """Pants has the same layers in a list of its own, and denies whom it does not know."""
    known = tree.files.get(_BUILD)
    for name in _RANK:
        if known is not None and f'"{name}",' not in known:
            yield Finding(_BUILD, 1, RULE, f"the layer `{name}` is not in the list of the build")


def _called_packages(tree: Tree) -> dict[str, frozenset[str]]:
    """For each agent's module or folder, the proto packages of the agents that it calls."""
    return {
        _own_folder(item.module): frozenset(
            _package(contract.replace("/", ".")) for contract in (*item.calls, *item.soft_calls)
        )
        for item in agents.declarations(tree)
    }


def _objection(module: Module, item: Import, called: frozenset[str]) -> str:
    top = item.origin.split(".")[0]
    home = module.path.split("/")[0]
    if top in _NEVER_IMPORTED and home not in {"tests", top}:
        return f"nothing imports `{top}`"
    if top == "torch" and not module.path.startswith("libs/tandemkit/ml/"):
        return "only tandemkit.ml imports torch; ask it for what you need"
    if item.origin.startswith("tandemkit.testing") and not _may_use_doubles(module):
        return "tandemkit.testing is for tests"
    if home == "libs":
        return _objection_in_kit(module, item)
    if home == "services":
        return _objection_in_service(module, item, called)
    return ""


def _may_use_doubles(module: Module) -> bool:
    return module.path.startswith(("tests/", "libs/tandemkit/testing/"))


def _objection_in_kit(module: Module, item: Import) -> str:
    layer = _layer(module.name)
    if layer == "testing":
        return ""
    if item.origin.startswith("services."):
        return "the kit knows no service"
    if layer not in _RANK:
        return f"`{module.name}` stands in no layer of the kit"
    if item.origin.startswith("tandemkit."):
        return _objection_between_layers(layer, _layer(item.origin))
    if layer == "core" and item.origin.split(".")[0] not in sys.stdlib_module_names:
        return f"tandemkit.core imports the standard library only, not `{item.origin}`"
    return ""


def _objection_between_layers(layer: str, other: str) -> str:
    if other == layer or _RANK.get(other, len(_LAYERS)) < _RANK[layer]:
        return ""
    return f"tandemkit.{layer} may not import tandemkit.{other}: it stands above or beside it"


def _layer(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def _objection_in_service(module: Module, item: Import, called: frozenset[str]) -> str:
    folder = _own_folder(module)
    if item.origin.startswith("services.") and not f"{item.origin}.".startswith(f"{folder}."):
        return "an agent never imports another agent's Python; call its stub"
    if item.origin.startswith("tandemkit.") and _layer(item.origin) not in _OPEN_TO_SERVICES:
        return f"services do not import tandemkit.{_layer(item.origin)}"
    if _package(item.origin) and not _is_known_contract(module, item.origin, called):
        return f"`{item.origin}` belongs to another family whose agents are not in `calls`"
    if item.origin.split(".")[0] in {"grpc", "grpc_status"} and _is_core_of_agent(module):
        return "the core of an agent knows no grpc; only agent.py and servicer.py do"
    return ""


def _own_folder(module: Module) -> str:
    parts = module.name.split(".")
    return ".".join(parts[:3]) if len(parts) > 3 else module.name


def _package(origin: str) -> str:
    """The proto package that something is imported from; empty where it is no contract's."""
    if origin.startswith("tandem."):
        return ".".join(origin.split(".")[:3])
    return next((one for one in FAMILY_OF_OTHERS if origin.startswith(f"{one}.")), "")


def _is_known_contract(module: Module, origin: str, called: frozenset[str]) -> bool:
    """Its own family, what all share, and the messages that go to the agents it calls."""
    family = module.name.split(".")[1]
    if f"{origin}.".startswith((f"tandem.{family}.", *_SHARED_PROTOS)):
        return True
    package = _package(origin)
    return FAMILY_OF_OTHERS.get(package) == family or package in called


def _is_core_of_agent(module: Module) -> bool:
    parts = module.name.split(".")
    return len(parts) > 3 and parts[3] not in _MESSAGE_SIDE
