from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from services.platform.resource.accounts import CORES, Accounts, NoSuchGpu, Short
from services.platform.resource.capacity import planned, unplanned
from tandem.fleet.v1 import profile_pb2 as files
from tandem.fleet.v1 import resources_pb2 as fleet
from tandem.platform.v1.resource_pb2 import ResourceAmounts, ResourceGrant
from tandemkit.written.pools import RESERVE, pool_name
from tests.unit.services.platform.resource import machines

_POOLS = [number for number in fleet.MemoryPool.values() if number not in {0, 5}]
_AMOUNTS = st.builds(
    ResourceAmounts,
    pool=st.sampled_from(_POOLS),
    memory_mib=st.integers(0, 120),
    cores=st.sampled_from((0.0, 0.001, 0.1, 1.0, 3.9)),
    gpu=st.sampled_from(("", "gpu0", "gpu1")),
    gpu_percent=st.sampled_from((0, 10, 60)),
)
_GRANTS = st.builds(
    ResourceGrant,
    holder=st.sampled_from("abc"),
    use=st.sampled_from(("model", "batch")),
    amounts=_AMOUNTS,
    emergency=st.sampled_from(("", "", "users wait")),
)


def lines(accounts: Accounts) -> list[tuple[str, str, int]]:
    books = (accounts.memory, accounts.cores, accounts.gpus)
    return sorted((one.holder, one.pool, one.amount) for book in books for one in book.grants())


@given(st.lists(st.tuples(st.booleans(), _GRANTS)))
def test_m018_nothing_is_ever_given_twice(steps: list[tuple[bool, ResourceGrant]]) -> None:
    """Not of a pool, the cores or a GPU, whatever is asked, changed and given back; a refusal
    changes nothing, and names what is short; without an emergency nobody has of the reserve.
    """
    accounts = Accounts(planned(machines.planned().machines[0], "a plan"))
    for is_given, grant in steps:
        before = lines(accounts)
        if not is_given:
            accounts.take_back(grant)
            continue
        try:
            accounts.give(grant)
        except (Short, NoSuchGpu):
            assert lines(accounts) == before
        else:
            assert grant.emergency or not grant.reserve_mib
        for pool in (*map(pool_name, _POOLS), RESERVE):
            assert accounts.memory.free(pool) >= 0
        assert accounts.cores.free(CORES) >= 0
        assert accounts.gpus.free("gpu0") >= 0


@given(_GRANTS)
def test_what_would_be_short_is_what_is_short(grant: ResourceGrant) -> None:
    """The question and the deed agree, and the question leaves no trace."""
    accounts = Accounts(planned(machines.planned().machines[0], "a plan"))
    with suppress(Short, NoSuchGpu):
        accounts.give(ResourceGrant(holder="b", use="model", amounts=ResourceAmounts(memory_mib=9)))
    before = lines(accounts)
    try:
        missing = accounts.missing(grant)
    except NoSuchGpu:
        return
    assert lines(accounts) == before
    try:
        accounts.give(grant)
    except Short as short:
        assert short.shortfalls == missing
    else:
        assert not missing


def test_a_new_plan_takes_nothing_away_that_was_granted() -> None:
    """What no longer fits is counted all the same, and nothing more is given."""
    grant = ResourceGrant(holder="a", use="model", amounts=ResourceAmounts(memory_mib=15))
    small = machines.planned({fleet.MEMORY_POOL_STANDARD: 40})
    accounts = Accounts(planned(small.machines[0], "a smaller plan"))
    accounts.count(grant)
    assert accounts.memory.free("standard") == -10
    more = ResourceGrant(holder="b", use="model", amounts=ResourceAmounts(memory_mib=1))
    assert [one.free for one in accounts.missing(more)] == [-10]
    nothing = ResourceGrant(holder="c", use="model", amounts=ResourceAmounts(cores=0.5))
    assert not accounts.missing(nothing)


def test_m019_without_a_plan_the_pools_fit_the_machine() -> None:
    """All of them smaller by the same share; as they are where there is room, or where it is said
    how large they are to be.
    """
    kinds = (fleet.MEMORY_POOL_STANDARD, 600), (fleet.MEMORY_POOL_EMERGENCY_RESERVE, 200)
    pools = {int(kind): files.Pool(pool=kind, memory_mib=size_mib) for kind, size_mib in kinds}
    assert unplanned(pools, 0, 400, 1000).pools_mib == {"standard": 300, "emergency_reserve": 100}
    assert unplanned(pools, 0, 9999, 1000).pools_mib["standard"] == 600
    assert unplanned(pools, 2, 400, 1000).pools_mib["standard"] == 1200
