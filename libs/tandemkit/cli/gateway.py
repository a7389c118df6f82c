"""Where this home's fleet is asked over HTTP: its gateway writes that down."""

from __future__ import annotations

from pathlib import Path

VARIABLE = "TANDEM_GATEWAY"
# Below the home, as tandemkit.machine.home has it, whose import takes longer than `./tandem mcp`.
_NOTE = Path("state", "gateway-http", "address")


def url_of(home: Path) -> str:
    """Such as `http://127.0.0.1:10010`; empty where no gateway ever served there."""
    try:
        return (home / _NOTE).read_text("utf-8")
    except OSError:
        return ""


def screen(url: str) -> str:
    """What to try; empty where there is no gateway."""
    if not url:
        return ""
    return (
        f"\n\nOver HTTP it answers at {url}, with the same token:\n"
        '  curl -H "authorization: Bearer $(cat "$TANDEM_TOKEN_FILE")" '
        f'"{url}/api/utility-toolbox/MeasureText?text=hello"'
    )
