"""Passwords, keys and tokens in the text of a tree. What is found is never repeated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from detect_secrets.core import scan
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.keyword import DENYLIST
from detect_secrets.settings import get_plugins, transient_settings

from tandemkit.audit.sources import Source

# These two judge by entropy alone and take every digest for a secret; the third one knows hosts.
_NOT_ASKED = frozenset({"Base64HighEntropyString", "HexHighEntropyString", "IPPublicDetector"})
# None of them asks a network whether what it found is in use.
_FILTERS = (
    "detect_secrets.filters.allowlist.is_line_allowlisted",
    *(
        f"detect_secrets.filters.heuristic.{name}"
        for name in (
            "is_indirect_reference",
            "is_likely_id_string",
            "is_not_alphanumeric_string",
            "is_potential_uuid",
            "is_prefixed_with_dollar_sign",
            "is_sequential_string",
            "is_templated_secret",
        )
    ),
)


class Detectors:
    """All that know a secret by its form, or by the name of what it is assigned to."""

    def __init__(self) -> None:
        # The whole text is searched first: asked line by line they take 0.15 ms for each.
        self._forms = [
            form
            for plugin in get_plugins()
            if isinstance(plugin, RegexBasedDetector)
            for form in plugin.denylist
        ]
        # What the one that goes by names looks for.
        self._forms.append(re.compile("|".join(DENYLIST), re.IGNORECASE))

    def secrets(self, source: Source) -> Iterator[tuple[int, str]]:
        """Line and kind of each."""
        if any(form.search(source.text) for form in self._forms):
            found = {(one.line_number, one.type) for one in scan.scan_file(str(source.file))}
            yield from sorted(found)


@contextmanager
def detectors() -> Iterator[Detectors]:
    """For as long as it lasts: their settings are those of the whole process."""
    kinds: Iterable[type] = get_mapping_from_secret_type_to_class().values()
    names = sorted({kind.__name__ for kind in kinds} - _NOT_ASKED)
    settings = {
        "plugins_used": [{"name": name} for name in names],
        "filters_used": [{"path": path} for path in _FILTERS],
    }
    with transient_settings(settings):
        yield Detectors()
