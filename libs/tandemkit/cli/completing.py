"""The words that a shell may complete: names out of the running fleet, kept for a moment, and out
of the checkout where no fleet answers. It never fails and never waits long: a person holds Tab.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from tandemkit.cli import names_cache
from tandemkit.cli.names_asking import Field, Names
from tandemkit.core.environment import Environment

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _names() -> Names:
    return names_cache.known(Environment.read())


def _beginning(incomplete: str, words: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(word) for word in sorted(set(words)) if word.startswith(incomplete)]


def _of(words: Callable[[Names], Iterable[str]]) -> Complete:
    def complete(
        _context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return _beginning(incomplete, words(_names()))

    return complete


services = _of(lambda names: names.services)
instances = _of(lambda names: names.agents)
log_targets = _of(lambda names: (*names.agents, *names.hosts))
targets = _of(lambda names: (*names.agents, *names.hosts, *names.groups))
fleet_hosts = _of(lambda names: names.fleet_hosts)
machines = _of(lambda names: names.machines)
streams = _of(
    lambda names: ("machines/", "policy/traffic", *(f"machines/{one}" for one in names.machines))
)


def methods(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """`SERVICE/`, and behind the slash its methods with what they do."""
    service, slash, _ = incomplete.partition("/")
    if not slash:
        return _beginning(incomplete, (f"{one}/" for one in _names().services))
    told = names_cache.methods_of(Environment.read(), service)
    return [
        CompletionItem(f"{service}/{method}", help=comment or None)
        for method, comment in told.items()
        if f"{service}/{method}".startswith(incomplete)
    ]


def fields(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """The flags that make the request of the method that stands on the line."""
    told = _fields(context)
    return [
        CompletionItem(flag, help=field.comment or None)
        for flag, field in told.items()
        if flag.startswith(incomplete)
    ]


def values(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """What may stand behind the last flag: the values of an enum or a bool."""
    words = [word for word in context.params.get("words") or () if word != "="]
    told = _fields(context).get(words[-1]) if words else None
    return _beginning(incomplete, told.values if told is not None else ())


def _fields(context: click.Context) -> dict[str, Field]:
    service, _, method = str(context.params.get("method") or "").partition("/")
    return names_cache.fields_of(Environment.read(), service, method) if method else {}
