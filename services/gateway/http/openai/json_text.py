"""JSON as it is written for each request: the encoders are made once."""

from __future__ import annotations

import json
from json.encoder import encode_basestring

# One string, with its quotes.
quoted = encode_basestring
encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
