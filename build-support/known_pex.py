"""Prints what `[pex-cli] known_versions` must say of a Pex file: version, system, sha256, size."""

import hashlib
import sys
from pathlib import Path
from typing import List

SYSTEMS = ("linux_x86_64", "linux_arm64", "macos_x86_64", "macos_arm64")


def known_versions(version: str, pex: bytes) -> List[str]:
    """One entry for each system: the file is the same on all of them."""
    digest = hashlib.sha256(pex).hexdigest()
    return [f"v{version}|{system}|{digest}|{len(pex)}" for system in SYSTEMS]


if __name__ == "__main__":
    print(known_versions(sys.argv[1], Path(sys.argv[2]).read_bytes()))
