"""Who a host is in its fleet: what the command line says of it, and what follows where it is
silent.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tandem.control.v1 import registration_pb2 as nouns
from tandemkit.core.loopback import is_loopback, stays_here
from tandemkit.mesh.bootstrap import Node, bootstrap
from tandemkit.rpc import validation

if TYPE_CHECKING:
    from tandemkit.hosting.agent import Agent

LEASE_S = 3.0
_LEASE_S_MIN, _LEASE_S_MAX = 1.0, 60.0
_LABEL_LENGTH_MAX = 63


class BadMembership(Exception):
    """The host cannot be announced as it was told to; the message says why, for a person."""


@dataclass(frozen=True, slots=True)
class Membership:
    """The controls that the host is announced at, the nearest first, and as what: `host` lacks the
    port and the placements, which are known once it serves. All controls front one registry.
    """

    controls: tuple[str, ...]
    host: nouns.Host
    lease_s: float = LEASE_S
    # Vouches for the host, where it has no key to do that itself.
    credential: Path | None = None

    @classmethod
    def checked(
        cls, controls: Sequence[str], host: nouns.Host, lease_s: float = LEASE_S
    ) -> Membership:
        """Raises BadMembership."""
        if not all(controls) or len(set(controls)) < len(controls):
            raise BadMembership("--control names each control once, separated by commas")
        host = nouns.Host.FromString(host.SerializeToString())
        # Stands in for the one that the kernel may yet have to choose.
        host.port = 1
        if broken := validation.violations(host):
            raise BadMembership("; ".join(f"host.{one.field}: {one.description}" for one in broken))
        if not _LEASE_S_MIN <= lease_s <= _LEASE_S_MAX:
            raise BadMembership(f"--lease-s is from {_LEASE_S_MIN:g} to {_LEASE_S_MAX:g}")
        return cls(tuple(controls), host, lease_s)

    @property
    def is_all_here(self) -> bool:
        """Whether no other machine can be in the fleet: none could call this host."""
        return is_loopback(self.host.address) and all(map(stays_here, self.controls))

    @property
    def bootstrap(self) -> str:
        """What this process's own clients of the mesh have to know."""
        node = Node(self.host.name.removeprefix("hosts/"), self.host.machine)
        return bootstrap(node, self.controls)


def add_options(parser: ArgumentParser) -> None:
    options = parser.add_argument_group("membership of a fleet")
    options.add_argument(
        "--control",
        help="host:port or unix:/path of the controls to announce this host at, separated by "
        "commas, the nearest first: the next one while the first is lost (default: none; nobody "
        "is told, and agents reach those of this host alone)",
    )
    options.add_argument("--machine", help="name of the machine (default: its hostname)")
    options.add_argument(
        "--group", help="hosts of one group serve the same agents (default: the agent or family)"
    )
    options.add_argument("--host-name", help="unique in the fleet (default: MACHINE-GROUP)")
    options.add_argument(
        "--version-label", default="", help="by which traffic is weighed (default: none)"
    )
    options.add_argument("--advertise", help="address for callers (default: that of --listen)")
    options.add_argument(
        "--credential",
        type=Path,
        help="file of ./tandem token host, for a host that shall not have the fleet's hosts.key "
        "(default: that key, beside the token)",
    )
    options.add_argument(
        "--lease-s",
        type=float,
        default=LEASE_S,
        help="how long the host stays in the fleet without a word (default %(default)s)",
    )


def membership_of(said: Namespace, agents: Sequence[Agent]) -> Membership | None:
    """None where no control was named. Raises BadMembership."""
    if said.control is None:
        return None
    machine = said.machine or machine_name()
    group = said.group or label(_default_group(agents))
    host = nouns.Host(
        name=f"hosts/{said.host_name or label(f'{machine}-{group}')}",
        machine=machine,
        group=group,
        address=said.advertise or address_for_callers(said.listen),
        version=said.version_label,
    )
    checked = Membership.checked(said.control.split(","), host, said.lease_s)
    return replace(checked, credential=said.credential)


def machine_name() -> str:
    """Of the machine that this runs on, unless somebody says another."""
    return label(socket.gethostname())


def address_for_callers(address: str) -> str:
    """The host in `address`, which is listened on. Raises BadMembership where that is none."""
    host = address.rpartition(":")[0].strip("[]")
    if address.startswith("unix:"):
        raise BadMembership("a host on a unix socket cannot be announced; --listen on host:port")
    if _is_everywhere(host):
        raise BadMembership(f"{address} is no address for callers; --advertise one")
    return host


def _is_everywhere(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:  # a name
        return not host


def _default_group(agents: Sequence[Agent]) -> str:
    return agents[0].name if len(agents) == 1 else agents[0].promise.name.family


def label(text: str) -> str:
    """The text as a name may be written; a machine's own may hold dots and capitals."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_LABEL_LENGTH_MAX].strip("-")
