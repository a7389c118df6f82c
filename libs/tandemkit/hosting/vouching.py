"""Which hosts may register, and as what: who has the key that lies beside the fleet's token vouches
for them. A caller has the token alone, so it can call and take nobody's place.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

from google.protobuf.message import DecodeError

from tandem.control.v1 import registration_pb2 as nouns
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.core.token import Token

HEADER = "x-tandem-host-bin"
KEY_FILE_NAME = "hosts.key"
# For a host that has the key itself and vouches anew whenever it registers.
_OWN_S = 60.0
# What else the key may sign one day is never taken for this.
_PURPOSE = b"tandem.control.v1.HostCredential\0"
Credential = Callable[[nouns.Host], bytes]
Metadata = Iterable[tuple[str, str | bytes]]


class NotVouched(Failure):
    """Nobody vouches for the host, or not as what it registers; the message says what to do."""


def key_beside(token: Token) -> Token:
    """The key, which is made by whoever comes first. Raises TokenRefused."""
    return Token.kept(token.path.with_name(KEY_FILE_NAME))


def vouched(key: Token, credential: nouns.HostCredential) -> bytes:
    """What the host shows."""
    said = credential.SerializeToString(deterministic=True)
    signed = nouns.SignedHostCredential(credential=said, mac=key.sign(_PURPOSE + said))
    return signed.SerializeToString()


def by_key(key: Token, clock: Clock) -> Credential:
    """The host vouches for itself, as what it is at that moment."""

    def show(host: nouns.Host) -> bytes:
        services = sorted({one.service for one in host.placements})
        said = nouns.HostCredential(host=host.name, services=services)
        said.expire_time.FromDatetime(clock.now() + timedelta(seconds=_OWN_S))
        return vouched(key, said)

    return show


def by_file(path: Path) -> Credential:
    """Somebody vouched for the host in a file, which is read anew each time. Raises NotVouched."""

    def show(_host: nouns.Host) -> bytes:
        try:
            return base64.b64decode(path.read_text("ascii").strip(), validate=True)
        except (OSError, ValueError) as error:
            raise NotVouched("the host's credential cannot be read", file=path) from error

    return show


def written(shown: bytes) -> str:
    """A credential as its file holds it."""
    return base64.b64encode(shown).decode()


def shown_in(metadata: Metadata | None, key: Token, now: datetime) -> nouns.HostCredential:
    """The credential that a call shows. Raises NotVouched."""
    wire = next((value for name, value in metadata or () if name == HEADER), b"")
    if not isinstance(wire, bytes) or not wire:
        raise NotVouched(
            "the host shows no credential; give it the fleet's hosts.key beside its token, or one "
            "of ./tandem token host by --credential"
        )
    try:
        signed = nouns.SignedHostCredential.FromString(wire)
        said = nouns.HostCredential.FromString(signed.credential)
    except DecodeError as error:
        raise NotVouched("the host's credential is none") from error
    if not key.has_signed(_PURPOSE + signed.credential, signed.mac):
        raise NotVouched(
            "the host's credential is not signed with this fleet's hosts.key; copy the key from "
            "where control runs, or have ./tandem token host write another credential there"
        )
    if said.expire_time.ToDatetime(now.tzinfo) <= now:
        expired = said.expire_time.ToJsonString()
        raise NotVouched("the host's credential has expired", expire_time=expired)
    return said


def check(said: nouns.HostCredential, host: nouns.Host) -> None:
    """Raises NotVouched where the host registers as more than that."""
    if host.name != said.host:
        raise NotVouched(
            "the host's credential is for another host", host=host.name, credential_host=said.host
        )
    services = {one.service for one in host.placements}
    if strange := sorted(services.difference(said.services)):
        raise NotVouched(
            "the host's credential does not name all that it serves", missing=", ".join(strange)
        )
