"""What somebody who has just cloned the repository does first, and what may go wrong then."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from tandemkit.cli.main import main
from tandemkit.testing.checkouts import write_checkout
from tandemkit.testing.parts import demand, short_folder
from tandemkit.testing.parts_terminal import terminal
from tests.cluster.eventually import eventually
from tests.cluster.fleets import SERVED, TANDEM, Checkout

pytestmark = pytest.mark.cluster
_TARGET = "xds:///tandem"
# A user's own namespaces, where the system allows them: a file system that is nobody else's.
_OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")
_ROOM_KIB = 64


@pytest.fixture
async def checkout() -> AsyncIterator[Checkout]:
    """Nothing of it runs yet; whatever a test started is gone behind it."""
    with short_folder() as folder:
        write_checkout(folder, SERVED)
        checkout = Checkout(folder)
        yield checkout
        await checkout.tandem("down")


async def run(variables: Mapping[str, str], *argv: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run, argv, env=variables, capture_output=True, text=True, check=False
    )


@pytest.mark.real("grpcurl")
async def test_a_fleet_is_up_listed_well_and_gone(checkout: Checkout) -> None:
    """Detached, it names every agent to a stock client, all serve, and `down` leaves nothing."""
    assert (await checkout.tandem("up", "-d")).returncode == 0
    told = (await checkout.tandem("env")).stdout
    grpcurl = str(demand("grpcurl")["grpcurl"])
    script = f'eval "$TOLD"; {grpcurl} -plaintext -max-time 20 {_TARGET} list'
    listed = (await run({**checkout.variables, "TOLD": told}, "sh", "-c", script)).stdout.split()
    assert {agent.promise.service.full_name for agent in SERVED} <= set(listed)
    assert (await checkout.told("status"))["serving"]
    await checkout.told("down")
    assert checkout.pids() == {}
    assert not [path for path in checkout.home.folder.rglob("*") if path.is_socket()]


@pytest.mark.real("tmux")
async def test_a_fleet_ends_with_its_terminal(checkout: Checkout) -> None:
    """Whoever closes the window has not left processes behind."""
    async with terminal(checkout.variables, checkout.folder) as window:
        program, *rest = TANDEM
        code = f"from {main.__module__} import main; main()"
        await window.run(f"{program} {' '.join(rest[:-1])} '{code}' up")

        async def screen() -> str:
            return "\n".join(await window.screen())

        await eventually(screen, lambda lines: "Tandem serves" in lines, within_s=60)
        assert set(checkout.pids()) >= {"control", "agents", "supervisor"}

    async def running() -> dict[str, int]:
        return checkout.pids()

    await eventually(running, lambda found: not found, within_s=30)


async def test_a_full_disk_is_told_in_a_sentence(checkout: Checkout, tmp_path: Path) -> None:
    """Before anything is started, with the folder that is full."""
    small = tmp_path / "small"
    small.mkdir()
    alone = shutil.which(_OWN_MOUNTS[0]) and await run(checkout.variables, *_OWN_MOUNTS, "true")
    if not alone or alone.returncode:
        pytest.skip("a user may not mount a file system of its own here: allow user namespaces")
    mount = f"mount -t tmpfs -o size={_ROOM_KIB}k tmpfs {small}"
    variables = {**checkout.variables, "TANDEM_HOME": str(small / "home")}
    within = (*_OWN_MOUNTS, "sh", "-c", f'{mount} && exec "$@"', "sh")
    done = await run(variables, *within, *TANDEM, "up", "-d")
    assert done.returncode == 2, done.stdout
    (line,) = done.stderr.splitlines()
    assert line.endswith("home cannot hold a fleet: No space left on device.")
