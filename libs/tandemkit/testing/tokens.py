"""Tokens of tests: one of their own, and those of the fleets that they start as processes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import grpc

from tandemkit.core.environment import Environment
from tandemkit.core.token import FILE_NAME, Token
from tandemkit.rpc.bearing import bearing
from tandemkit.testing.parts import short_folder


@contextmanager
def own_token() -> Iterator[Token]:
    """In a file that ends with the block."""
    with short_folder() as folder:
        yield Token.kept(folder / FILE_NAME)


def token_of_user(home: Path) -> Token:
    """Of the fleet whose processes have `home` for HOME, and no TANDEM_HOME."""
    return Token.kept(Environment.read({"HOME": str(home)}).home / FILE_NAME)


@asynccontextmanager
async def shown(address: str, token: Token) -> AsyncIterator[grpc.aio.Channel]:
    """A channel for calls that show the token."""
    async with grpc.aio.insecure_channel(address) as wire:
        yield bearing(wire, token)


# So that no token stands in grpcurl's arguments, which every user of a machine can read.
GRPCURL_FLAGS = ("-expand-headers", "-H", "authorization: ${TANDEM_BEARER}")


def grpcurl_variables(token: Token) -> dict[str, str]:
    """What GRPCURL_FLAGS need in its environment, which only its own user can read."""
    return {"TANDEM_BEARER": token.bearer}
