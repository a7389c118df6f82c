"""The `tandem` command. A command's module is imported when it is called and not before."""

from __future__ import annotations

import json
import os
import sys
from io import BufferedReader, FileIO, TextIOWrapper
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

from tandemkit.cli.help_text import HELP
from tandemkit.cli.output import EXIT_INTERRUPTED, EXIT_USAGE, Refusal
from tandemkit.cli.summaries import SUMMARIES
from tandemkit.core.environment import prefer_for_libraries

_OF_START = frozenset({"up", "down", "plan"})
_OF_MACHINE = frozenset(
    {"status", "logs", "start", "stop", "restart", "drain", "return", "suspend", "resume"}
)
_OF_STATE = frozenset({"checkpoint", "verify", "restore", "rollback"})
_OF_FLEET = frozenset({"call", "why", "agents", "policy", "events", "token", "secret"})
_OF_MEMORY = frozenset({"forget", "export"})
_OF_LANGUAGE = frozenset({"ask", "chat", "mcp"})
_SPEAKING = _OF_MACHINE | _OF_STATE | _OF_FLEET | _OF_MEMORY | _OF_LANGUAGE


class LazyGroup(click.Group):
    """Knows its commands by name and one line; loads the one that is asked for."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(SUMMARIES)

    def get_command(self, _context: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _SPEAKING:
            # gRPC reads it as it is imported, and would tell of each connection that fails.
            prefer_for_libraries("GRPC_VERBOSITY", "NONE")
        return load(cmd_name) if cmd_name in SUMMARIES else None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names and summaries are known without an import."""
        said = [
            CompletionItem(name, help=told)
            for name, told in SUMMARIES.items()
            if name.startswith(incomplete)
        ]
        return [*said, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


def load(name: str) -> click.Command:
    """The command, by an import that the build sees, unlike one by string."""
    if name in _OF_START:
        return _of_start(name)
    if name in _OF_MACHINE:
        return _of_machine(name)
    if name in _OF_STATE:
        return _of_state(name)
    if name in _OF_FLEET:
        return _of_fleet(name)
    if name in _OF_MEMORY:
        return _of_memory(name)
    if name in _OF_LANGUAGE:
        return _of_language(name)
    return _of_repository(name)


def _of_start(name: str) -> click.Command:
    match name:
        case "up":
            from tandemkit.cli import up

            return up.up
        case "down":
            from tandemkit.cli import down

            return down.down
        case _:
            from tandemkit.cli import plan

            return plan.plan


def _of_machine(name: str) -> click.Command:
    match name:
        case "status":
            from tandemkit.cli import status

            return status.status
        case "logs":
            from tandemkit.cli import logs

            return logs.logs
        case _:
            from tandemkit.cli import commands

            return commands.command_of(name)


def _of_state(name: str) -> click.Command:
    match name:
        case "checkpoint":
            from tandemkit.cli import checkpoint

            return checkpoint.checkpoint
        case "verify":
            from tandemkit.cli import verify

            return verify.verify
        case "restore":
            from tandemkit.cli import restore

            return restore.restore
        case _:
            from tandemkit.cli import restore

            return restore.rollback


def _of_fleet(name: str) -> click.Command:
    match name:
        case "call":
            from tandemkit.cli import call

            return call.call
        case "why":
            from tandemkit.cli import why

            return why.why
        case "events":
            from tandemkit.cli import events

            return events.events
        case "policy":
            from tandemkit.cli import policy

            return policy.policy
        case "token":
            from tandemkit.cli import token

            return token.token
        case "secret":
            from tandemkit.cli import secret

            return secret.secret
        case _:
            from tandemkit.cli import agents

            return agents.agents


def _of_memory(name: str) -> click.Command:
    match name:
        case "forget":
            from tandemkit.cli import forget

            return forget.forget
        case _:
            from tandemkit.cli import export

            return export.export


def _of_language(name: str) -> click.Command:
    match name:
        case "ask":
            from tandemkit.cli import ask

            return ask.ask
        case "mcp":
            from tandemkit.cli import mcp

            return mcp.mcp
        case _:
            from tandemkit.cli import chat

            return chat.chat


def _of_repository(name: str) -> click.Command:
    match name:
        case "doctor":
            from tandemkit.cli import doctor

            return doctor.doctor
        case "setup":
            from tandemkit.cli import setup

            return setup.setup
        case "tools":
            from tandemkit.cli import tools

            return tools.tools
        case "bench":
            from tandemkit.cli import bench

            return bench.bench
        case "env":
            from tandemkit.cli import surroundings

            return surroundings.env
        case "completion":
            from tandemkit.cli import completion

            return completion.completion
        case "clients":
            from tandemkit.cli.clients import command

            return command.clients
        case _:
            return _of_sources(name)


def _of_sources(name: str) -> click.Command:
    match name:
        case "audit":
            from tandemkit.cli import audit

            return audit.audit
        case "pin":
            from tandemkit.cli import pin

            return pin.pin
        case _:
            from tandemkit.cli import release

            return release.release


@click.group(
    cls=LazyGroup,
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def tandem() -> None:
    """The help text is HELP, which may hold examples."""


def main() -> NoReturn:
    """Runs the command line. A failure is one sentence on stderr, never a traceback."""
    as_json = "--json" in sys.argv[1:]
    _open_streams()
    try:
        result = tandem.main(
            prog_name="./tandem", complete_var="_TANDEM_COMPLETE", standalone_mode=False
        )
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except Refusal as refusal:
        _fail(refusal.message, refusal.exit_code, as_json=as_json)
    except click.ClickException as wrong:
        if not as_json:
            wrong.show()
            sys.exit(EXIT_USAGE)
        _fail(wrong.format_message(), EXIT_USAGE, as_json=True)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted", EXIT_INTERRUPTED, as_json=as_json)
    except BrokenPipeError:
        # The reader, `head` say, has seen enough. Python would complain again at exit.
        sys.stderr.close()
        sys.exit(0)
    except (UnicodeEncodeError, UnicodeDecodeError) as error:
        _fail(
            f"what is given as text has to be UTF-8: {error.reason}.", EXIT_USAGE, as_json=as_json
        )
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        _fail(f"{what}{error.strerror or error}", EXIT_USAGE, as_json=as_json)
    sys.exit(result if isinstance(result, int) else 0)


def _open_streams() -> None:
    """Whoever starts it may have closed its stdin, or have a terminal without our characters."""
    if sys.stdin is None:
        sys.stdin = TextIOWrapper(BufferedReader(FileIO(os.devnull)), "utf-8")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _fail(message: str, exit_code: int, *, as_json: bool) -> NoReturn:
    if as_json:
        click.echo(json.dumps({"error": {"message": message, "exit_code": exit_code}}))
    else:
        click.echo(f"tandem: {message}", err=True)
    sys.exit(exit_code)
