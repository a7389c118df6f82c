"""What a command that starts things does about secrets first: it takes them out of its environment,
looks whether all are there that agents cannot serve without, and hands them to the fleet.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager

from tandem.control.v1 import machine_pb2 as nouns
from tandemkit.cli.output import EXIT_NO, Refusal
from tandemkit.cli.plan import dotenv_of
from tandemkit.core import environment as surroundings
from tandemkit.core.clock import SystemClock
from tandemkit.core.environment import Environment
from tandemkit.core.secret import looks_secret, missing, variable_of
from tandemkit.fleet.plan import Blueprint
from tandemkit.machine.home import Home
from tandemkit.machine.orders import planned_machine
from tandemkit.secrecy import files, sources
from tandemkit.secrecy.chain import Chain, Held, Launched, Search
from tandemkit.written.marked import Mistake

_CLOCK = SystemClock()


class Taking:
    """Of one command, which is about to run what `wanted` says."""

    def __init__(
        self, written: Blueprint, wanted: nouns.WantedMachine, environment: Environment
    ) -> None:
        self._written, self._wanted = written, wanted
        self._variables = environment.variables
        self._names = sources.declared_on(planned_machine(wanted))
        asked = {*self._names, *sources.credentials(wanted.plan.secret_sources)}
        self._values = dict(_values(asked, environment.variables, dotenv_of(environment)))

    def wiped(self) -> Environment:
        """The environment without what any stanza calls a secret, and without what is called like
        one: neither this process nor one that it starts has it any more.
        """
        secret = {variable_of(name) for name in self._written.variables.secrets}
        known = self._variables
        surroundings.wipe({name for name in known if name in secret or looks_secret(name)})
        return Environment.read()

    async def checked(self, home: Home) -> str:
        """Hands the values over. Returns what lacks, as a sentence, where the profile is lenient;
        Refusal with each place where it is not.
        """
        search = await self.search(home)
        missing = list(self.missing(search))
        profile = self._written.layout.profiles[self._wanted.plan.profile].fields
        said = "\n".join(map(str, sorted(missing)))
        troubles = "".join(f"\n{one}" for one in search.troubles) if missing else ""
        if missing and not profile.lenient:
            raise Refusal(f"{said}{troubles}", EXIT_NO)
        if self._values:
            home.secrets.provide(self._values)
        if self._names:
            home.secrets.hurry()
        return f"these agents do not serve until they have their secrets:\n{said}" if said else ""

    @asynccontextmanager
    async def providers(self, home: Home) -> AsyncIterator[Chain]:
        """Those of the plan, as whoever called the command may use them: what it takes to log in
        is looked for in the environment first.
        """
        asked = self._wanted.plan.secret_sources
        logins = set(sources.credentials(asked))
        own = {name: value for name, value in self._values.items() if name in logins}
        behind = Chain([Held(own, _CLOCK.now()), Launched(home.secrets)])
        async with sources.opened(asked, behind, _CLOCK) as chain:
            yield chain

    async def search(self, home: Home) -> Search:
        """Which are there, now."""
        held = Chain([Held(self._values, _CLOCK.now()), Launched(home.secrets)])
        asked = self._wanted.plan.secret_sources
        async with sources.opened(asked, held, _CLOCK) as chain:
            return await chain.find(sorted(self._names))

    def missing(self, search: Search) -> Iterator[Mistake]:
        """Required ones that nobody has, each where a stanza asks for it."""
        run = {one.name for host in planned_machine(self._wanted).hosts for one in host.agents}
        for stanza in self._written.fleet.stanzas:
            if stanza.fields.name not in run:
                continue
            for index, name in enumerate(stanza.fields.secrets):
                if name not in search.found:
                    yield stanza.entry.mistake(
                        f"secrets[{index}]",
                        f"{missing(name)} `{name}` of {stanza.fields.name}: put it into a "
                        f"provider (./tandem secret check), or export {variable_of(name)}",
                    )


def taken_along(wanted: nouns.WantedMachine, environment: Environment, home: Home) -> Environment:
    """For a plan that was checked when it was made: what this environment has of its secrets is
    handed to the fleet, and what is called like a secret is gone from here.
    """
    names = {
        *sources.declared_on(planned_machine(wanted)),
        *sources.credentials(wanted.plan.secret_sources),
    }
    if values := dict(_values(names, environment.variables, dotenv_of(environment))):
        home.secrets.provide(values)
    secret = {variable_of(name) for name in names}
    known = environment.variables
    surroundings.wipe({name for name in known if name in secret or looks_secret(name)})
    return Environment.read()


def _values(
    names: set[str], variables: Mapping[str, str], file: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Those that are set; what stands in the environment goes before the file. Raises Refusal."""
    for name in names:
        variable = variable_of(name)
        if value := variables.get(variable) or file.get(variable, ""):
            if why := files.unfit(value):
                raise Refusal(f"{variable} cannot be a secret: {why}.")
            yield name, value
