"""Identifiers that nobody can guess and nothing has to hand out."""

from __future__ import annotations

import secrets


def incident_id() -> str:
    """Names one failure in the log and in the caller's error: 12 hexadecimal digits."""
    return secrets.token_hex(6)


def event_id() -> str:
    """Names one event among all that any store will ever have: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def trace_id() -> str:
    """A W3C trace id: 32 hexadecimal digits, not all zero."""
    return secrets.token_hex(16)


def span_id() -> str:
    """A W3C parent id: 16 hexadecimal digits, not all zero."""
    return secrets.token_hex(8)
