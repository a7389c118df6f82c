"""Derives Pants's lock from pins.txt, and refuses one with a file that pins.txt does not know.

A Pex lock names a download address for every file, so it is not committed: it is made once for
each state of the pins, kept in the user's cache, and copied to where pants.toml expects it.
Runs on the Python 3.9 of Pants, with nothing but the standard library.
"""

import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Mapping, Set

LOCK = "build-support/python-default.lock"
# The parts of pants.toml that decide what a lock holds.
_DECISIVE = re.compile(r"^pants_version.*$|^\[python[^\n]*\]\n(?:[^\[\n].*\n)*", re.MULTILINE)
_NAME = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class LockRefused(Exception):
    """The lock names a file that pins.txt does not vouch for; the message says which."""


def normal(name: str) -> str:
    """A distribution's name as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(pins: str) -> Dict[str, Set[str]]:
    """Distribution to the sha256 of every file that pins.txt allows for it."""
    allowed: Dict[str, Set[str]] = {}
    name = ""
    for line in pins.splitlines():
        found = _NAME.match(line)
        if found:
            name = normal(found.group(1))
        if name:
            allowed.setdefault(name, set()).update(_HASH.findall(line))
    return allowed


def strangers(lock: Mapping[str, Any], allowed: Mapping[str, Set[str]]) -> List[str]:
    """Each file of a lock whose sha256 does not stand in the pins, as `name version hash`."""
    packages = [p for resolve in lock["locked_resolves"] for p in resolve["locked_requirements"]]
    return [
        f"{package['project_name']} {package['version']} {file['hash']}"
        for package in packages
        for file in package["artifacts"]
        if file["algorithm"] != "sha256"
        or file["hash"] not in allowed.get(normal(package["project_name"]), ())
    ]


def check(lock: Path, pins: Path) -> None:
    """Raise LockRefused unless every file in the lock stands in the pins."""
    # Pants writes its own metadata above the JSON, behind //.
    text = "".join(line for line in lock.read_text().splitlines(True) if not line.startswith("//"))
    unknown = strangers(json.loads(text), pinned(pins.read_text()))
    if unknown:
        raise LockRefused("the lock has files that pins.txt does not:\n  " + "\n  ".join(unknown))


def digest(root: Path) -> str:
    """Names the state of everything that a lock depends on."""
    decisive = "".join(_DECISIVE.findall((root / "pants.toml").read_text()))
    return hashlib.sha256((root / "pins.txt").read_bytes() + decisive.encode()).hexdigest()


def derive(root: Path, pants: str, kept: Path) -> None:
    """Have Pants make the lock, check it, and keep it in the cache."""
    sys.stderr.write("./pants: deriving Pants's lock from pins.txt, once (about a minute)\n")
    lock = root / LOCK
    lock.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([pants, "--no-pantsd", "generate-lockfiles"], cwd=str(root), check=True)
    check(lock, root / "pins.txt")
    replace(kept, lock.read_bytes())


def replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: another run may be reading it."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_bytes(content)
    fresh.replace(path)


def main(root: Path, pants: str, cache: Path) -> int:
    """Leave the lock that belongs to pins.txt where Pants looks for it."""
    folder = cache / "locks"
    kept = folder / f"{digest(root)}.lock"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            if not kept.exists():
                derive(root, pants, kept)
    content = kept.read_bytes()
    lock = root / LOCK
    if not lock.exists() or lock.read_bytes() != content:
        replace(lock, content)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
    except LockRefused as refusal:
        sys.exit(f"./pants: {refusal}")
    except subprocess.CalledProcessError as failure:
        sys.exit(f"./pants: Pants could not make its lock (exit {failure.returncode})")
