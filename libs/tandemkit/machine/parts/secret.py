"""What a server of ours asks its callers for, kept where only its user can read it."""

from __future__ import annotations

import uuid
from pathlib import Path

from tandemkit.machine.home import write_at_once


def kept_secret(path: Path) -> str:
    """The one in the file, which is made with the first call."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # 122 bits of the kernel's, in the one form that Consul takes.
        secret = str(uuid.uuid4())
        write_at_once(path, secret.encode())
        return secret
