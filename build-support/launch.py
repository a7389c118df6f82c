"""Second step of `./tandem`: makes what is missing, then becomes the CLI in its environment.

Runs on a bare CPython 3.11: the standard library, and of the kit what needs no more than that.
"""

import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "libs"), str(ROOT / "build-support")]

from tandemkit.core.environment import Environment

READY = "ready"
# Set by what `./tandem completion` prints.
COMPLETES = "_TANDEM_COMPLETE"
_KEY_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Places:
    """Where the environment and the stubs of this state of the checkout belong.

    Each folder is named after what it is made from, so checkouts share what is equal, a change
    makes a new one, and a folder that holds the mark READY never changes again.
    """

    cache: Path
    environment: Path
    stubs: Path

    @property
    def python(self) -> Path:
        """The interpreter of the environment."""
        return self.environment / "bin" / "python"

    def environment_ready(self) -> bool:
        """Also false where the Python that it was made from has gone."""
        return (self.environment / READY).exists() and os.access(self.python, os.X_OK)

    def stubs_ready(self) -> bool:
        return (self.stubs / READY).exists()


def installed_pins(text: str) -> str:
    """The part of pins.txt that the environment holds: all that stands before the test section."""
    head, mark, _ = text.partition("# --- test")
    if not mark:
        raise ValueError("pins.txt has no section '# --- test'")
    return head


def places(root: Path, environment: Environment) -> Places:
    """Costs a few milliseconds: it runs at every start."""
    pins = installed_pins((root / "pins.txt").read_text())
    python = f"{sys.version_info[:2]} {sysconfig.get_platform()}"
    made_from = _digest([python.encode(), pins.encode()])
    contracts = sorted((root / "protos").rglob("*.proto"))
    sources = [root / "tools" / "stubs.py", *contracts]
    parts = [part for path in sources for part in (_name(root, path), path.read_bytes())]
    return Places(
        cache=environment.cache,
        environment=environment.cache / "environments" / made_from,
        stubs=environment.cache / "stubs" / _digest([made_from.encode(), *parts]),
    )


def _name(root: Path, path: Path) -> bytes:
    return str(path.relative_to(root)).encode()


def _digest(parts: Iterable[bytes]) -> str:
    # Lengths keep ("ab", "c") and ("a", "bc") apart.
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()[:_KEY_CHARACTERS]


def become_cli(found: Places, variables: Mapping[str, str]) -> NoReturn:
    """Replaces this process, so that signals and exit codes are the CLI's own."""
    path = os.pathsep.join(str(entry) for entry in (ROOT, ROOT / "libs", found.stubs))
    own = {"PYTHONPATH": path, "TANDEM_ROOT": str(ROOT), "TANDEM_STUBS": str(found.stubs)}
    argv = [str(found.python), "-P", "-m", "tandemkit.cli", *sys.argv[1:]]
    os.execve(found.python, argv, {**variables, **own})


def main() -> int:
    environment = Environment.read()
    try:
        found = places(ROOT, environment)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"tandem: this checkout is incomplete ({error}); clone it again.\n")
        return 2
    if not (found.environment_ready() and found.stubs_ready()):
        if COMPLETES in environment.variables:
            # Somebody pressed Tab: not the moment to make an environment.
            return 0
        from bootstrap import prepare  # a warm start has no use for it

        if status := prepare(ROOT, found, environment):
            return status
    # What a later set-up finds unused for long it removes.
    for used in (found.environment, found.stubs):
        os.utime(used / READY)
    become_cli(found, environment.variables)


if __name__ == "__main__":
    sys.exit(main())
