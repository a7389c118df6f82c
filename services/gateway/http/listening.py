"""Where the gateway listens: where its settings say, or at the port of the fleet's list, or at a
free one where somebody has that. What it took is written down, and taken again after a restart.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tandem.gateway.config.v1 import http_pb2 as cfg
from tandemkit.core.environment import Environment
from tandemkit.core.errors import Failure
from tandemkit.hosting.http_port import HttpRefused, address_of, listening
from tandemkit.written.ports import PortBook

# In the agent's folder, for `./tandem up` and `./tandem env`.
ADDRESS_FILE: Final = "address"
_LOOPBACK: Final = "127.0.0.1"
_FILE, _NAME = "deploy/ports.yaml", "gateway"


class NoPort(Failure):
    """The gateway can listen nowhere; the message says what to do."""


def held(wanted: str, folder: Path) -> socket.socket:
    """Raises NoPort."""
    errors: list[HttpRefused] = []
    for address in _candidates(wanted, folder):
        try:
            found = listening(address)
        except HttpRefused as error:
            errors.append(error)
        else:
            return found
    raise NoPort("the gateway can listen nowhere", why=str(errors[-1])) from errors[-1]


def tls(settings: cfg.HttpSettings) -> ssl.SSLContext | None:
    """By the certificate that the settings name. Raises CertificateRefused."""
    if not settings.certificate_file:
        return None
    # It knows Envoy too, which is memory that nobody pays who has no certificate.
    from tandemkit.hosting.edge import Certificate

    certificate = Certificate(Path(settings.certificate_file), Path(settings.key_file))
    certificate.check()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate.chain, certificate.key)
    return context


def note(folder: Path, url: str) -> None:
    """For whoever wants to ask here."""
    (folder / ADDRESS_FILE).write_text(url)


def _candidates(wanted: str, folder: Path) -> Iterator[str]:
    """Where it was before comes first, for callers know that, unless the settings say a port."""
    host, _, port = wanted.rpartition(":")
    if wanted and int(port):
        yield wanted
        return
    try:
        before = (folder / ADDRESS_FILE).read_text().rpartition("/")[2]
    except OSError:
        before = ""
    if before.rpartition(":")[0] == (host or _LOOPBACK):
        yield before
    if wanted:
        yield wanted
    else:
        yield from _usual()


def _usual() -> Iterator[str]:
    root = Environment.read().root
    path = root / _FILE if root is not None else None
    if path is not None and path.exists():
        book = PortBook.read(str(path), path.read_text("utf-8"))
        if _NAME in book.fixed:
            yield f"{_LOOPBACK}:{book.fixed[_NAME]}"
    yield f"{_LOOPBACK}:0"


__all__ = ["ADDRESS_FILE", "NoPort", "address_of", "held", "note"]
