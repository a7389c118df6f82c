"""Every planted mistake is told with its place and what to do."""

from __future__ import annotations

import pytest

from tandemkit.fleet.needs import REGISTRY, Calls
from tests.unit.tandemkit.fleet import planted
from tests.unit.tandemkit.fleet.planted import FLEET, GUARD, LAYOUT, SUM, TELL, Planted

_GROUPS, _POOLS = f"{LAYOUT}/groups.yaml", f"{LAYOUT}/pools.yaml"
_MACHINES, _BOTH = f"{LAYOUT}/machines.yaml", "fleet/profiles/both.yaml"


@pytest.mark.parametrize(
    ("path", "before", "after", "said"),
    [
        # Memory: what a pool has, what an agent may ask, what the machine holds.
        (
            *(_POOLS, "standard\n    memory_mib: 400", "standard\n    memory_mib: 165"),
            (
                f"{FLEET}:11:17: `agents[2].memory_mib`: host `text-2` asks for 104 MiB (the "
                "process 64, text-sum 40) of the pool `standard` of big, which has 85 of 165 left: "
                "ask for 19 less, or make the pool bigger by `memory_scale` of the profile"
            ),
        ),
        (
            *(FLEET, "memory_mib: 50", "memory_mib: 350"),
            (
                f"{FLEET}:15:17: `agents[3].memory_mib`: `text-tell` asks for 350 MiB, and the "
                "pool `standard` gives an agent 200: ask for 150 less, or of another pool"
            ),
        ),
        (
            *(_BOTH, "groups:", "memory_scale: 2\ngroups:"),
            (
                f"{_BOTH}:3:15: `memory_scale`: at 2 the pools hold 2600 MiB, and big has 2048: "
                "552 too many; 1.575 fits"
            ),
        ),
        (
            *(FLEET, "pool: critical", "pool: monitoring"),
            f"{FLEET}:7:11: `agents[1].pool`: pools.yaml has no pool `monitoring`; there is ",
        ),
        (FLEET, "pool: critical", "pool: emergency_reserve", f"{FLEET}:7:11: `agents[1].pool`: "),
        (
            *(FLEET, "pool: critical", "pool: critcal"),
            f"{FLEET}:7:11: `agents[1].pool`: there is no `critcal`; did you mean `critical`?",
        ),
        # GPU.
        (
            *(_GROUPS, "gpu_percent: 80", "gpu_percent: 95\n    replicas: 1"),
            (
                f"{_GROUPS}:9:18: `groups[2].gpu_percent`: host `look` asks for 95 % of a GPU, and "
                "gpu0 of big has 90 % left (of 100: reserved 10): 5 too many"
            ),
        ),
        (
            *(_GROUPS, "gpu_percent: 80", "gpu_percent: 60"),
            (
                f"{_GROUPS}:9:18: `groups[2].gpu_percent`: its agents ask for 70 % (look-draw 30, "
                "look-see 40): ask for 10 less"
            ),
        ),
        # CPU.
        (
            *(FLEET, "cpu_set: 0-1", "cpu_set: 3-5"),
            f"{FLEET}:16:14: `agents[3].cpu_set`: big has cores 0-3, and no 4-5",
        ),
        (
            *(FLEET, "cpu_set: 0-1", "cpu_set: 3-1"),
            f"{FLEET}:16:14: `agents[3].cpu_set`: 3-1 ends before it begins: write 1-3",
        ),
        (
            *(FLEET, "cpu_set: 0-1", "cpus_max: 5"),
            f"{FLEET}:16:15: `agents[3].cpus_max`: big has 4 cores: say 4 at most",
        ),
        (
            *(FLEET, "cpu_set: 0-1", "memory_mib_max: 113"),
            (
                f"{FLEET}:16:21: `agents[3].memory_mib_max`: `text-tell` and its process are "
                "planned with 114 MiB, and may use 113: say 114 at least, or less `memory_mib`"
            ),
        ),
        (
            *(FLEET, "cpu_set: 0-1", "stall_max: 1s"),
            f"{FLEET}:16:16: `agents[3].stall_max`: ",
        ),
        # Groups and replicas.
        (
            *(FLEET, "replicas: 2", "replicas: 3"),
            (
                f"{FLEET}:12:15: `agents[2].replicas`: `text-sum` wants 3 processes, and its group "
                "`text` has 2 in profile `both`: say 2 here, or `replicas: 3` there"
            ),
        ),
        (
            *(_GROUPS, "replicas: 2", "replicas: 3"),
            (
                f"{_BOTH}:5:5: `groups[1].replicas`: process 3 of `text` has no agent: its agents' "
                "`replicas` are 2 at most"
            ),
        ),
        (
            *(_GROUPS, 'agents: ["*"]', "agents: [look-see]"),
            (
                f"{FLEET}:20:11: `agents[5].name`: no group serves `look-draw`: add it to the "
                "`agents` of one in groups.yaml"
            ),
        ),
        (
            *(_GROUPS, "[text-*]", "[text-*, text-tel]"),
            (
                f"{_GROUPS}:5:22: `groups[1].agents[1]`: no stanza is called `text-tel`; did you "
                "mean `text-tell`?"
            ),
        ),
        (
            *(_GROUPS, "[text-*]", "[text-*, control-*]"),
            f"{_GROUPS}:5:22: `groups[1].agents[1]`: `control-*` is served by `control` already",
        ),
        (_GROUPS, "name: look", "name: text", f"{_GROUPS}:7:11: `groups[2].name`: `text` stands "),
        # References.
        (
            *(_BOTH, "group: text", "group: txt"),
            f"{_BOTH}:5:12: `groups[1].group`: there is no group `txt`; did you mean `text`?",
        ),
        (
            *(_BOTH, "group: look", "group: text"),
            f"{_BOTH}:6:12: `groups[2].group`: `text` stands here twice",
        ),
        (
            *(_BOTH, "[big, small]", "[big, smal]"),
            f"{_BOTH}:2:17: `machines[1]`: there is no machine `smal`; did you mean `small`?",
        ),
        (
            *(_GROUPS, "[big, small]", "[big, smell]"),
            f"{_GROUPS}:10:21: `groups[2].machines[1]`: there is no machine `smell`; did you mean ",
        ),
        (_BOTH, "groups:", "beside: [bth]\ngroups:", f"{_BOTH}:3:10: `beside[0]`: there is no "),
        (_BOTH, "name: both", "name: bath", f"{_BOTH}:1:7: `name`: the file is called both.yaml"),
        (
            *(_BOTH, "- group: look", "- group: look\n    replica: 2"),
            (
                f"{_BOTH}:7:5: tandem.fleet.v1.PlacedGroup has no field `replica`; did you mean "
                "`replicas`?"
            ),
        ),
        (
            *(_MACHINES, "      - name: gpu0\n", ""),
            f"{_MACHINES}:7:9: `machines[0].gpus` is a list: write `- ` before each item",
        ),
        (
            *(_MACHINES, "cpu_cores: 4", "cpu_cores: four"),
            f"{_MACHINES}:4:16: `machines[0].cpu_cores`: ",
        ),
    ],
)
def test_m035_a_mistake_names_its_place_and_what_to_do(
    path: str, before: str, after: str, said: str
) -> None:
    """File, line, column, field, and numbers where there are some."""
    found = Planted().changed(path, before, after).said()
    assert any(one.startswith(said) for one in found), found


@pytest.mark.parametrize(
    ("service", "calls", "said"),
    [
        (
            SUM,
            Calls(hard=(TELL,)),
            (
                f"{FLEET}:10:14: `agents[2].service`: a cycle of calls can never start: text-sum "
                "-> text-tell -> text-sum; declare one of them in `soft_calls` of its AGENT"
            ),
        ),
        (
            SUM,
            Calls(hard=("tandem.text.v1.NobodyService",)),
            (
                f"{FLEET}:10:14: `agents[2].service`: `text-sum` cannot do without "
                "tandem.text.v1.NobodyService, which nobody serves in profile `both`: add a "
                "stanza of it to deploy/fleet/text.yaml"
            ),
        ),
        (
            REGISTRY,
            Calls(hard=(GUARD,)),
            (
                f"{FLEET}:3:14: `agents[0].service`: a cycle of calls can never start: "
                "control-registry -> text-guard -> control-registry"
            ),
        ),
    ],
)
def test_m021_calls_that_can_never_be_answered_are_refused(
    service: str, calls: Calls, said: str
) -> None:
    """With the path, or with who needs whom and what to add."""
    found = Planted().calling(service, calls).said()
    assert any(one.startswith(said) for one in found), found


def test_a_provider_that_the_profile_leaves_out_is_named_with_its_group() -> None:
    """The stanza is there: what is missing is one line of the profile."""
    needy = Planted().calling(GUARD, Calls(hard=(planted.SEE,)))
    (said,) = needy.said("alone")
    assert said.endswith(
        "which nobody serves in profile `alone`: add `- group: look`, which serves it, to "
        "fleet/profiles/alone.yaml, with `replicas` over 0"
    )


def test_m018_over_commit_is_refused() -> None:
    """Of memory and of a GPU at once, each at the line that asks for too much; to the last MiB."""
    full = Planted().changed(_POOLS, "memory_mib: 400", "memory_mib: 72")
    assert full.plan().machines[0].pools[0].planned_mib == 72
    over = full.changed(_POOLS, "memory_mib: 72", "memory_mib: 71")
    gpu, memory = over.changed(_GROUPS, "gpu_percent: 80", "gpu_percent: 91").said()
    assert gpu.startswith(f"{_GROUPS}:9:18: `groups[2].gpu_percent`: ")
    assert gpu.endswith(": 1 too many")
    assert memory.startswith(f"{FLEET}:2:5: `agents[0].memory_mib`: ")
    assert "has 71 of 71 left: ask for 1 less" in memory


def test_what_follows_from_a_mistake_is_not_told() -> None:
    """One line that cannot be read is one mistake, not one for each agent that misses it."""
    first, second = Planted().changed(_GROUPS, "groups:", "grops:").said()
    assert first.endswith("`groups`: must contain at least 1 item(s)")
    assert second.endswith("has no field `grops`; did you mean `groups`?")
    needy = Planted().changed(FLEET, "service: tandem.text.v1.Sum", "service: tandem.text.Sum")
    assert not any("cannot do without" in one for one in needy.said())


def test_a_name_that_the_registry_would_refuse_is_refused_here() -> None:
    """Before a host starts that could never register."""
    long = "x" * 46
    named = Planted().changed(_GROUPS, "name: look", f"name: {long}")
    placed = named.changed(_BOTH, "group: look", f"group: {long}")
    far = "y" * 20
    machines = placed.changed(_MACHINES, "name: small", f"name: {far}")
    found = machines.changed(_GROUPS, "[big, small]", f"[big, {far}]")
    said = found.changed(_BOTH, "[big, small]", f"[big, {far}]").said()
    assert any(f"`{far}-{long}` is 67 long, and the registry takes 63" in one for one in said)


def test_all_mistakes_are_told_at_once() -> None:
    """Of all files, in the order of their places."""
    broken = (
        Planted()
        .changed(FLEET, "memory_mib: 50", "memory_mib: 350")
        .changed(_BOTH, "group: text", "group: txt")
        .changed("ports.yaml", "port: 10010", "port: 9100")
        .calling(SUM, Calls(hard=(TELL,)))
        .said()
    )
    assert broken == sorted(broken)
    assert {one.split(":")[0] for one in broken} >= {_BOTH, "ports.yaml"}
