"""`tandem mcp`: the fleet's tools for clients that start a program and talk with it by its standard
streams. It carries each message to the gateway; what there is to know stands there.
"""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import click

from tandemkit.cli import gateway
from tandemkit.cli.carrying import Carrier
from tandemkit.cli.output import EXIT_NO, Refusal, examples
from tandemkit.core.environment import Environment
from tandemkit.core.token import FILE_NAME, FILE_VARIABLE, Token, TokenRefused

# As much as the gateway reads of one message.
_LINE_BYTES_MAX: Final = 16 * 1024 * 1024
_SCHEMES: Final = ("http://", "https://")
_ADVICE: Final = "; ./tandem status says whether the fleet runs, ./tandem up starts it"


@click.command(
    short_help="Be a server of the Model Context Protocol on stdin and stdout.",
    epilog=examples(
        "claude mcp add tandem -- /path/to/tandem mcp",
        "./tandem mcp --agents memory-knowledge-base,utility-toolbox",
        "",
        "In a client's file of servers (claude_desktop_config.json, .cursor/mcp.json; in",
        "VS Code's .vscode/mcp.json the outer name is servers):",
        '  {"mcpServers": {"tandem": {"command": "/path/to/tandem", "args": ["mcp"]}}}',
        "",
        "Clients that speak HTTP need no program: the address is what ./tandem env gateway prints",
        "with /mcp behind it, and the header `Authorization: Bearer TOKEN` shows the token.",
    ),
)
@click.option(
    "--agents", default="", help="Offer the tools of these alone, by commas (default: of all)."
)
@click.option("--url", help="A gateway elsewhere, https://host:port (default: this home's).")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help=f"What to show there (default: ${FILE_VARIABLE}, else this home's token).",
)
def mcp(*, agents: str, url: str | None, token_file: Path | None) -> None:
    """Offer the fleet's tools, documents and memories to an assistant that starts this command.

    It serves until its stdin ends. The fleet has to run; while its gateway is away, requests are
    answered with an error, and go on when it is back.
    """
    environment = Environment.read()
    if url is not None and not url.startswith(_SCHEMES):
        raise Refusal(f"--url takes an address such as https://pc2:10010, not {url!r}.")
    found = (url or gateway.url_of(environment.home)).rstrip("/")
    if not found:
        said = f"no gateway was ever here ({environment.home}); start the fleet with ./tandem up."
        raise Refusal(said, EXIT_NO)
    if lack := asyncio.run(_served(found, agents, _token(token_file, environment))):
        said = f"the gateway at {found} does not answer: {lack}{'' if url else _ADVICE}."
        raise Refusal(said, EXIT_NO)


async def _served(url: str, agents: str, token: Token) -> str:
    """Why it could not begin; empty when it is done."""
    async with Carrier.at(url, agents, token) as carrier:
        if not (lack := await carrier.lacks()):
            await carrier.carry(_lines())
        return lack


async def _lines() -> AsyncIterator[bytes]:
    """Of stdin, which may be a pipe, a terminal or a file, and /dev/null, which nobody can wait
    for.
    """
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if stat.S_ISREG(mode) or (stat.S_ISCHR(mode) and not sys.stdin.isatty()):
        for line in sys.stdin.buffer:
            yield line
        return
    if sys.stdin.isatty():
        click.echo("Waiting for a client's messages; --help says how one is configured.", err=True)
    reader = asyncio.StreamReader(limit=_LINE_BYTES_MAX)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    try:
        while line := await reader.readline():
            yield line
    except ValueError as error:
        size = _LINE_BYTES_MAX >> 20
        raise Refusal(f"the client sent a message of more than {size} MiB.") from error


def _token(told: Path | None, environment: Environment) -> Token:
    named = environment.variables.get(FILE_VARIABLE)
    path = told or (Path(named) if named else environment.home / FILE_NAME)
    try:
        return Token(path)
    except TokenRefused as error:
        raise Refusal(str(error), EXIT_NO) from error
