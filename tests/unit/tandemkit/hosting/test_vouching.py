from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tandem.control.v1 import registration_pb2 as nouns
from tandemkit.core.token import Token
from tandemkit.hosting.vouching import (
    HEADER,
    KEY_FILE_NAME,
    NotVouched,
    by_file,
    by_key,
    check,
    key_beside,
    shown_in,
    vouched,
    written,
)
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.tokens import own_token

FILES, TEXT = "tandem.utility.v1.FilesService", "tandem.text.v1.SummarizeService"


@pytest.fixture
def key() -> Iterator[Token]:
    with own_token() as token:
        yield key_beside(token)


def host(*services: str, name: str = "hosts/a") -> nouns.Host:
    return nouns.Host(name=name, placements=[nouns.Placement(service=one) for one in services])


def shown(key: Token, clock: FakeClock, wire: bytes) -> nouns.HostCredential:
    return shown_in((("x-other", "1"), (HEADER, wire)), key, clock.now())


def test_the_key_is_another_secret_than_the_token(key: Token) -> None:
    """Whoever can call cannot register."""
    assert key.path.name == KEY_FILE_NAME
    assert key.bearer != Token(key.path.with_name("token")).bearer


def test_a_host_with_the_key_vouches_for_what_it_is(key: Token) -> None:
    """Under its name, for all that it serves now."""
    clock = FakeClock()
    said = shown(key, clock, by_key(key, clock)(host(FILES, TEXT)))
    check(said, host(FILES))
    check(said, host(TEXT, FILES))


@pytest.mark.parametrize(
    "other", [host(FILES, name="hosts/b"), host(FILES, TEXT)], ids=["another host", "more"]
)
def test_a_credential_is_for_one_host_and_what_it_serves(key: Token, other: nouns.Host) -> None:
    """It can take nobody's place, nor serve what was not meant for it."""
    clock = FakeClock()
    said = shown(key, clock, by_key(key, clock)(host(FILES)))
    with pytest.raises(NotVouched):
        check(said, other)


async def test_a_credential_ends(key: Token) -> None:
    """What was written for a month is nothing after it."""
    clock = FakeClock()
    credential = nouns.HostCredential(host="hosts/a", services=[FILES])
    credential.expire_time.FromDatetime(clock.now() + timedelta(days=30))
    wire = vouched(key, credential)
    assert shown(key, clock, wire) == credential
    await clock.advance(timedelta(days=30).total_seconds())
    with pytest.raises(NotVouched, match="expired"):
        shown(key, clock, wire)


def test_what_nobody_signed_is_refused(key: Token) -> None:
    """Another fleet's, the token's own, one that was changed, and what is no credential at all."""
    clock = FakeClock()
    good = by_key(key, clock)(host(FILES))
    changed = nouns.SignedHostCredential.FromString(good)
    changed.credential = nouns.HostCredential(host="hosts/b").SerializeToString()
    by_token = by_key(Token(key.path.with_name("token")), clock)(host(FILES))
    with own_token() as other:
        foreign = by_key(key_beside(other), clock)(host(FILES))
    for wire in (b"", b"\xff", by_token, foreign, changed.SerializeToString(), good[:-1]):
        with pytest.raises(NotVouched):
            shown(key, clock, wire)
    with pytest.raises(NotVouched, match="shows no credential"):
        shown_in(None, key, clock.now())


async def test_a_credential_outlives_a_change_of_the_key_by_its_grace(key: Token) -> None:
    """Hosts elsewhere have that long to be given another one."""
    clock = FakeClock()
    key = Token(key.path, clock)
    wire = by_key(key, clock)(host(FILES))
    key.rotate(grace_s=30)
    assert shown(key, clock, wire).host == "hosts/a"
    await clock.advance(31)
    with pytest.raises(NotVouched, match="not signed"):
        shown(key, clock, wire)


def test_a_file_holds_it_as_text(key: Token, tmp_path: Path) -> None:
    """As ./tandem token host prints it; what is no such text is told."""
    clock, path = FakeClock(), tmp_path / "credential"
    wire = by_key(key, clock)(host(FILES))
    path.write_text(f"{written(wire)}\n")
    assert by_file(path)(host()) == wire
    path.write_text("no credential")
    for one in (path, tmp_path / "absent"):
        with pytest.raises(NotVouched, match="cannot be read"):
            by_file(one)(host())
