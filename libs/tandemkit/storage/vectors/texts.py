"""Labels as one text, for stores that keep them beside what they are found by."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tandemkit.storage.vectors.protocol import Label


def labels_text(labels: Mapping[str, Label]) -> str:
    told = {key: one if isinstance(one, tuple) else float(one) for key, one in labels.items()}
    return json.dumps(told, ensure_ascii=False)


def labels_in(text: str) -> dict[str, Label]:
    return {
        key: tuple(one) if isinstance(one, list) else one for key, one in json.loads(text).items()
    }
