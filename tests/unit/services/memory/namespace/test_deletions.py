"""Deletions that end only when everybody has confirmed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest

from tandem.memory.v1 import deletion_pb2 as nouns
from tandem.memory.v1 import namespace_service_pb2 as pb
from tests.cluster.eventually import eventually
from tests.unit.services.memory.namespace.fleet import Fleet, Kept, alive, fleet, keepers
from tests.unit.tandemkit.rpc.probed import refused

COMPLETE = nouns.DELETION_STATE_COMPLETE
CODE = grpc.StatusCode


def _plant(it: Fleet) -> None:
    it.shelf.kept = {
        "a": Kept("default", "Ada Lovelace", "first"),
        "b": Kept("default", "Grace", "she met Ada  LOVELACE once"),
        "c": Kept("team-a", "Ada Lovelace", "elsewhere"),
    }
    it.drawer.kept = {"d": Kept("default", "ada lovelace", "second")}


async def test_everybody_who_keeps_something_deletes_it(keeping: Fleet) -> None:
    """Of that subject and that namespace, and nothing else."""
    _plant(keeping)
    done = await keeping.completed(await keeping.forget("ADA lovelace"))
    assert (list(keeping.shelf.kept), list(keeping.drawer.kept)) == (["b", "c"], [])
    assert done.state == COMPLETE
    assert [(one.machine, one.deleted, one.confirmations) for one in done.keepers] == [
        ("there", 1, 2),
        ("here", 1, 2),
    ]


async def test_mentions_go_where_they_are_asked_for(keeping: Fleet) -> None:
    """Whole words, however they are written."""
    _plant(keeping)
    await keeping.completed(await keeping.forget("Ada Lovelace", mentions=True))
    assert list(keeping.shelf.kept) == ["c"]


async def test_what_was_on_its_way_between_two_agents_is_found_by_the_second_round(
    keeping: Fleet,
) -> None:
    """A journal that was replayed into who had confirmed already."""
    _plant(keeping)
    keeping.shelf.late = {"late": Kept("default", "Ada Lovelace", "replayed")}
    await keeping.completed(await keeping.forget("Ada Lovelace"))
    assert "late" not in keeping.shelf.kept
    assert keeping.shelf.asked == 2


async def test_a_deletion_waits_for_who_is_away_and_goes_on_in_the_next_life(
    tmp_path: Path,
) -> None:
    """Nothing but a confirmation ends it; what keeps it from its end is told without the text."""
    async with keepers(tmp_path) as parts:
        _plant(parts)
        parts.drawer.away = True
        async with alive(parts) as it:
            name = await it.forget("Ada Lovelace")

            async def standing() -> nouns.Deletion:
                return await it.deletion(name)

            found = await eventually(standing, lambda one: any(k.cause for k in one.keepers))
            assert found.state == nouns.DELETION_STATE_DELETING
            causes = {one.machine: one.cause for one in found.keepers}
            assert causes == {"here": "", "there": "UNAVAILABLE STORE_UNREACHABLE"}
            assert found.subject == "Ada Lovelace"
        parts.drawer.away = False
        async with alive(parts) as again:
            assert (await again.completed(name)).state == COMPLETE
        assert not parts.drawer.kept


async def test_who_was_there_once_is_waited_for(keeping: Fleet) -> None:
    """Its machine is off, and its files are not; until the operator says that it is gone."""
    await keeping.completed(await keeping.forget("nobody"))
    gone = keeping.registry.hosts.pop()
    name = await keeping.forget("Ada Lovelace")

    async def causes() -> list[str]:
        return [one.cause for one in (await keeping.deletion(name)).keepers if one.cause]

    assert await eventually(causes, bool) == ["it is not registered"]
    request = pb.ExcuseKeepersRequest(name=name, machine=gone.machine)
    await keeping.stub.ExcuseKeepers(request)
    done = await keeping.completed(name)
    assert [one.machine for one in done.keepers if one.excused] == [gone.machine]
    assert gone.machine in done.remains[0]
    later = await keeping.completed(await keeping.forget("Grace"))
    assert [one.machine for one in later.keepers] == ["here"]


async def test_the_subject_is_in_no_file_of_the_record_once_that_is_complete(
    tmp_path: Path,
) -> None:
    """A salted digest is kept, by which the deletion is found by who knows the name."""
    who = "Zweibrueggen-Q7"
    async with fleet(tmp_path) as it:
        it.drawer.remains = ["a server keeps its log"]
        name = await it.forget(who)
        done = await it.completed(name)
        assert (done.subject, list(done.remains)) == ("", ["a server keeps its log"])
        held = [file.name for file in _files(tmp_path) if b"weibrueggen" in file.read_bytes()]
        assert held == []
        for asked, names in ((who.upper(), [name]), ("other", [])):
            request = pb.ListDeletionsRequest(subject=asked)
            found = await it.stub.ListDeletions(request)
            assert [one.name for one in found.deletions] == names


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


async def test_the_same_request_is_the_same_deletion(keeping: Fleet) -> None:
    """Also when it is over; another one of that id is refused."""
    name = await keeping.forget("Ada Lovelace", request_id="one")
    await keeping.completed(name)
    assert await keeping.forget("ada  LOVELACE", request_id="one") == name == "deletions/one"
    failed = await refused(keeping.forget("Grace", request_id="one"))
    assert (failed.code, failed.reason) == (CODE.ALREADY_EXISTS, "REQUEST_ID_TAKEN")


async def test_of_two_deletions_that_say_one_id_at_once_one_is_refused(keeping: Fleet) -> None:
    """Neither takes the other's place once that was accepted."""
    _plant(keeping)
    whom = ("Ada Lovelace", "Grace")
    asked = (keeping.forget(one, request_id="one") for one in whom)
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [outcome for outcome in outcomes if isinstance(outcome, str)] == ["deletions/one"]
    await keeping.completed("deletions/one")


async def test_a_namespace_goes_with_all_in_it_and_its_rules(keeping: Fleet) -> None:
    """The rules go last: meanwhile they still say who may write there."""
    _plant(keeping)
    put = pb.PutNamespaceRequest()
    put.namespace.name = "namespaces/team-a"
    await keeping.stub.PutNamespace(put)
    request = pb.DeleteNamespaceRequest(name="namespaces/team-a")
    deleted = await keeping.stub.DeleteNamespace(request)
    await keeping.completed(deleted.deletion.name)
    assert sorted(keeping.shelf.kept) == ["a", "b"]
    found = await keeping.stub.GetNamespace(pb.GetNamespaceRequest(name="namespaces/team-a"))
    assert not found.has_rules


async def test_an_unknown_deletion_is_said_to_be_none(keeping: Fleet) -> None:
    """With its reason."""
    request = pb.GetDeletionRequest(name="deletions/none")
    failed = await refused(keeping.stub.GetDeletion(request))
    assert (failed.code, failed.reason) == (CODE.NOT_FOUND, "DELETION_NOT_FOUND")


@pytest.mark.parametrize("mentions", [False, True])
async def test_an_export_is_what_a_deletion_would_take(keeping: Fleet, *, mentions: bool) -> None:
    """From everybody, each thing once, and only that."""
    _plant(keeping)
    found = await keeping.exported("Ada Lovelace", mentions=mentions)
    assert sorted(found) == (["a", "b", "d"] if mentions else ["a", "d"])
    everything = await keeping.exported(namespace="team-a", whole_namespace=True)
    assert everything == {"c": "elsewhere"}


async def test_an_export_that_would_be_a_part_fails(keeping: Fleet) -> None:
    """And says whose part is missing."""
    _plant(keeping)
    keeping.drawer.away = True
    failed = await refused(keeping.exported("Ada Lovelace"))
    assert (failed.code, failed.reason) == (CODE.UNAVAILABLE, "KEEPER_AWAY")
    assert failed.metadata["machine"] == "there"
    keeping.registry.is_away = True
    failed = await refused(keeping.exported("Ada Lovelace"))
    assert failed.reason == "REGISTRY_UNREACHABLE"
