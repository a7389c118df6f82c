"""`./tandem audit` has nothing to say of this repository."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from tandemkit.cli.audit import audit
from tests.repo.checkout import root


@pytest.mark.timeout(240)
def test_m038_the_audit_is_quiet_on_the_repository() -> None:
    """What may stand is allowed in pyproject.toml, each with a reason."""
    result = CliRunner().invoke(audit, [str(root()), "--json"], standalone_mode=False)
    said = json.loads(result.stdout)
    assert said == {"ok": True, "findings": [], "unread": []}
