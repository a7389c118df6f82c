"""A list of ports of which nobody else uses any, and requests about it."""

from __future__ import annotations

from pathlib import Path

from tandem.platform.config.v1 import port_registry_pb2 as cfg
from tandem.platform.v1 import port_registry_service_pb2 as pb
from tandemkit.testing.parts import free_ports
from tandemkit.written.ports import PortBook

_LIST = """\
ranges:
  - {{name: grpc, first: {first}, last: {last}}}
fixed:
  - {{name: control, port: {first}, range: grpc}}
  - {{name: gateway, port: 10010}}
reserved:
  - {{port: {last}, why: somebody else's}}
"""


def span(length: int) -> range:
    """A range of which nearly all were free a moment ago."""
    ports = free_ports(length)
    return range(min(ports), max(ports) + 1)


def listed(folder: Path, ports: range) -> cfg.PortRegistrySettings:
    """Settings with a list whose range this is: its first port is fixed, its last reserved."""
    path = folder / "ports.yaml"
    path.write_text(_LIST.format(first=ports[0], last=ports[-1]), "utf-8")
    return cfg.PortRegistrySettings(ports_file=str(path))


def book(ports: range) -> PortBook:
    """The same list, read."""
    return PortBook.read("ports.yaml", _LIST.format(first=ports[0], last=ports[-1]))


def ask(
    owner: str, use: str = "debug", *, term_s: int = 0, preferred: int = 0
) -> pb.AllocatePortRequest:
    """Of the range `grpc`; 0: the default term."""
    request = pb.AllocatePortRequest(range="grpc", owner=owner, use=use, preferred_port=preferred)
    if term_s:
        request.term.seconds = term_s
    return request


def changed(settings: cfg.PortRegistrySettings, before: str, after: str) -> Path:
    """The list's path, with one text in it replaced, once."""
    path = Path(settings.ports_file)
    text = path.read_text("utf-8")
    assert before in text, "the planted change found nothing to change"
    path.write_text(text.replace(before, after, 1), "utf-8")
    return path
