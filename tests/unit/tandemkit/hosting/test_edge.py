"""What is said of an edge's certificate before the edge starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandemkit.hosting.edge import Certificate, CertificateRefused


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Envoy would start, and answer nobody."""
    certificate = Certificate(tmp_path / "chain.pem", tmp_path / "key.pem")
    with pytest.raises(CertificateRefused, match=r"chain\.pem cannot be read: No such file"):
        certificate.check()


def test_what_is_no_certificate_is_named(tmp_path: Path) -> None:
    """Both files are named, for either may be the wrong one."""
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    for path in (chain, key):
        path.write_text("no PEM")
    with pytest.raises(CertificateRefused, match=r"chain\.pem and .*key\.pem are no certificate"):
        Certificate(chain, key).check()
