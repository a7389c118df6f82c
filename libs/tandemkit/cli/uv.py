"""How uv is told what pip was told. Needs nothing but the standard library: set-up uses it too."""

from __future__ import annotations

from collections.abc import Mapping

# uv reads none of pip's settings: these decide whether it reaches an index.
_SAME_AS = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_CERT": "SSL_CERT_FILE"}


def uv_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment for uv. What it was told itself stands above what pip was told."""
    given = {theirs: variables[ours] for ours, theirs in _SAME_AS.items() if variables.get(ours)}
    # The authorities that the machine trusts, as pip does, and not uv's own list.
    return {"UV_SYSTEM_CERTS": "1", **given, **variables}
