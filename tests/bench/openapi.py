"""How a whole fleet keeps to its OpenAPI document, by schemathesis: cases, and what it found.

Not of the machine's time: of what is asked. Every operation is asked that does not change the fleet
itself; those that do are asked with a wrong token. The fleet is one of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp

from tandemkit.core.clock import SystemClock
from tandemkit.core.environment import Environment
from tandemkit.testing.parts import short_folder
from tests.cluster.fleets import TANDEM
from tests.contract.openapi import fuzzing
from tests.contract.openapi.fuzzing import Fuzzed, Order

_ADDRESS = Path("state", "gateway-http", "address")
# One worker: with two of its threads hypothesis fails now and then by itself.
_ASKED_S, _REFUSED_S, _EXAMPLES, _WORKERS = 1800, 120, 1, 1


def _tandem(home: Path, *arguments: str) -> None:
    variables = {**Environment.read().variables, "TANDEM_HOME": str(home)}
    subprocess.run((*TANDEM, *arguments), env=variables, capture_output=True, check=True)


async def _document(url: str, token: str) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.get(f"{url}/openapi.json?form=accepted") as told,
    ):
        told.raise_for_status()
        found: dict[str, Any] = await told.json()
    return found


def _measured(home: Path, asked_s: int) -> dict[str, Any]:
    url, token = (home / _ADDRESS).read_text(), (home / "token").read_text().strip()
    asked, kept = fuzzing.divided(asyncio.run(_document(url, token)))
    clock = SystemClock()
    began_s = clock.monotonic_s()
    for_real = Order(url, token, _EXAMPLES, asked_s, _WORKERS)
    in_vain = Order(url, "wrong", _EXAMPLES, _REFUSED_S, _WORKERS, is_refused=True)
    found = {
        "asked": _said(fuzzing.fuzz(asked, for_real, home / "asked")),
        "refused": _said(fuzzing.fuzz(kept, in_vain, home / "refused")),
    }
    # Who was asked so much answers still.
    asyncio.run(_document(url, token))
    return found | {"took_s": round(clock.monotonic_s() - began_s)}


def _said(found: Fuzzed) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operations": found.operations,
        "cases": found.cases,
        "has_passed": found.has_passed,
    }
    return said if found.has_passed else said | {"output": found.output}


def main() -> int:
    """Prints it; 1 where schemathesis found something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=_ASKED_S, help="of asking in earnest")
    parser.add_argument("--json", action="store_true", help="it prints nothing else")
    arguments = parser.parse_args()
    with short_folder() as folder:
        home = folder / "home"
        try:
            _tandem(home, "up", "-d")
            found = _measured(home, arguments.seconds)
        finally:
            _tandem(home, "down")
    print(json.dumps(found, indent=2))
    return 0 if found["asked"]["has_passed"] and found["refused"]["has_passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
