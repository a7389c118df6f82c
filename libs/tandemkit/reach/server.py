"""How a server is reached: how long it may take, and who trusts whom."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Patience:
    """Time limits: of one try, of one call with all its tries, and of a watcher that hears nothing
    at all.
    """

    try_s: float = 1.0
    answer_s: float = 3.0
    away_s: float = 15.0

    def __post_init__(self) -> None:
        if not 0 < self.try_s <= self.answer_s:
            raise ValueError("a call takes at least one try")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Certificates and keys, as paths of PEM files. With a CA only what it signed is trusted;
    our own certificate is for such servers alone.
    """

    ca_path: Path | None = None
    certificate_path: Path | None = None
    key_path: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate_path is None) != (self.key_path is None):
            raise ValueError("a certificate and its key go together")
        if self.certificate_path is not None and self.ca_path is None:
            raise ValueError("a certificate is shown only to a server of a CA of ours")

    def context(self) -> ssl.SSLContext | None:
        """Reads the files. None where there is no CA: what then holds is the backend's own."""
        if self.ca_path is None:
            return None
        trust = ssl.create_default_context(cafile=self.ca_path)
        if self.certificate_path is not None:
            trust.load_cert_chain(self.certificate_path, self.key_path)
        return trust
