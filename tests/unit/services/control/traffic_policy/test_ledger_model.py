"""Any changes in any order, by two writers, with crashes and restarts at any write, against a list
of policies.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from services.control.traffic_policy import editing
from services.control.traffic_policy.ledger import Ledger, Order
from services.control.traffic_policy.shelf import Overtaken, Shelf, Stored
from tandem.control.v1 import errors_pb2 as errors
from tandem.control.v1 import registration_pb2 as hosts_pb
from tandem.control.v1 import registry_service_pb2 as registry_pb
from tandem.control.v1 import traffic_policy_pb2 as pb
from tandemkit.core.errors import TransientError
from tandemkit.registry.embedded import embedded_registry
from tandemkit.registry.protocol import Registry, VersionConflict
from tandemkit.testing.clock import FakeClock
from tests.unit.services.control.traffic_policy.policies import FILES, NOTE, TOOLBOX, shares

Edit = Callable[[pb.PolicyRecord], Awaitable[pb.TrafficPolicy]]
services = st.sampled_from((FILES, TOOLBOX))
host_names = st.sampled_from(("hosts/a", "hosts/b"))
# Before which step of its writes the writer dies; each write has a step before and one after it.
crashes = st.none() | st.integers(0, 5)


class Died(TransientError):
    def __init__(self) -> None:
        super().__init__(errors.ERROR_REASON_BACKEND_UNREACHABLE, "died", retry_after_s=1)


class Mortal:
    """The real embedded registry as the ledger asks it; dies at the step that is told."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.steps_left: int | None = None

    async def read(self, key: str) -> Stored:
        found = await self._registry.get(key)
        if found is None:
            return Stored(None, 0)
        return Stored(registry_pb.StoredValue.FromString(found.value), found.version)

    async def write(self, key: str, value: registry_pb.StoredValue, expected: int) -> None:
        self._step()
        try:
            await self._registry.put(key, value.SerializeToString(), expected=expected)
        except VersionConflict as error:
            raise Overtaken from error
        self._step()

    async def remove(self, key: str) -> None:
        self._step()
        await self._registry.delete(key)

    async def watch(self, key: str) -> AsyncGenerator[Stored, None]:
        yield await self.read(key)

    async def hosts(self) -> list[hosts_pb.Host]:
        return []

    def _step(self) -> None:
        if self.steps_left is not None:
            if not self.steps_left:
                raise Died
            self.steps_left -= 1


class LedgerBesideModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self._runner = asyncio.Runner()
        # The policy of each version.
        self._model = [pb.TrafficPolicy()]
        self._open()

    def _open(self) -> None:
        self._opening = embedded_registry(Path(self._folder.name), FakeClock())
        registry = self._runner.run(self._opening.__aenter__())
        self._mortal = Mortal(registry)
        self._ledger = Ledger(Shelf(self._mortal), FakeClock())
        self._rival = Ledger(Shelf(Mortal(registry)), FakeClock())

    def _close(self) -> None:
        self._runner.run(self._opening.__aexit__(None, None, None))

    def teardown(self) -> None:
        self._close()
        self._runner.close()
        self._folder.cleanup()

    @rule()
    def restart(self) -> None:
        self._close()
        self._open()

    @rule(service=services, weight=st.integers(0, 3), crash=crashes)
    def set(self, service: str, weight: int, crash: int | None) -> None:
        said = shares(service, v1=weight) if weight else pb.ServicePolicy(service=service)
        wanted = editing.tidied(editing.with_service(self._model[-1], said))
        self._change(wanted, crash)

    @rule(host=host_names, drained=st.booleans(), crash=crashes)
    def drain(self, host: str, drained: bool, crash: int | None) -> None:
        wanted = editing.tidied(editing.with_host(self._model[-1], host, drained=drained))
        self._change(wanted, crash)

    @rule(back=st.integers(1, 4), crash=crashes)
    def undo(self, back: int, crash: int | None) -> None:
        version = len(self._model) - back
        if version < 1:
            return
        kept = self._runner.run(self._ledger.at(version - 1))
        assert kept.policy == self._model[version - 1]
        self._change(kept.policy, crash)

    @rule(host=host_names, service=services)
    def overtake(self, host: str, service: str) -> None:
        """A rival writes between the ledger's reading and its writing: both changes count."""
        is_drained = host in self._model[-1].drained_hosts
        rivals = editing.tidied(editing.with_host(self._model[-1], host, drained=not is_drained))
        said = shares(service, v9=len(self._model))
        rounds: list[int] = []

        async def edit(record: pb.PolicyRecord) -> pb.TrafficPolicy:
            rounds.append(record.change.version)
            if len(rounds) == 1:
                await self._rival.change(_order(_to(rivals)))
            return editing.with_service(record.policy, said)

        self._runner.run(self._ledger.change(_order(edit)))
        assert rounds == [len(self._model) - 1, len(self._model)]
        self._model += [rivals, editing.tidied(editing.with_service(rivals, said))]

    @invariant()
    def every_version_is_there_as_it_was(self) -> None:
        async def look() -> None:
            latest = len(self._model) - 1
            assert (await self._ledger.latest()).change.version == latest
            for version, policy in enumerate(self._model):
                assert (await self._ledger.at(version)).policy == policy
            changes = await self._ledger.changes(list(await self._ledger.kept()))
            assert [one.version for one in changes] == list(range(latest, 0, -1))
            for one in changes:
                before, after = self._model[one.version - 1 : one.version + 1]
                found = editing.difference(before, after)
                assert one.services == found.services
                assert one.drained_hosts == found.drained_hosts
                assert one.returned_hosts == found.returned_hosts

        self._runner.run(look())

    def _change(self, wanted: pb.TrafficPolicy, crash: int | None) -> None:
        self._mortal.steps_left = crash
        try:
            self._runner.run(self._ledger.change(_order(_to(wanted))))
        except Died:
            # Done or not done, and nothing in between; the caller may ask again.
            self._mortal.steps_left = None
            found = self._runner.run(self._ledger.latest())
            assert found.policy in (self._model[-1], wanted)
            self._runner.run(self._ledger.change(_order(_to(wanted))))
        self._mortal.steps_left = None
        if wanted != self._model[-1]:
            self._model.append(wanted)


def _to(wanted: pb.TrafficPolicy) -> Edit:
    async def edit(_record: pb.PolicyRecord) -> pb.TrafficPolicy:
        return wanted

    return edit


def _order(edit: Edit) -> Order:
    return Order(edit, NOTE, "test", allow_absent=True)


def test_no_change_is_lost_and_none_is_made_up() -> None:
    """Whatever happens at whichever write."""
    bounds = settings(max_examples=25, stateful_step_count=15, deadline=None)
    run_state_machine_as_test(LedgerBesideModel, settings=bounds)
