"""What anybody's program does with OpenFeature's SDK: `URL KEY`, the token in the environment."""

from __future__ import annotations

import json
import sys

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

from tandemkit.core.environment import Environment


def main() -> None:
    url, key = sys.argv[1:]
    headers = {"Authorization": Environment.read().variables["TANDEM_BEARER"]}
    api.set_provider(OFREPProvider(url, headers_factory=lambda: headers))
    client, who = api.get_client(), EvaluationContext("ana", {"country": "nl"})
    found = {
        key: client.get_boolean_details(key, False, who),
        "a.text": client.get_string_details("a.text", "", who),
        "a.whole": client.get_integer_details("a.whole", 0, who),
        "a.real": client.get_float_details("a.real", 0.0, who),
        "a.off": client.get_boolean_details("a.off", False, who),
        "a.none": client.get_boolean_details("a.none", False, who),
    }
    told = {name: [one.value, str(one.reason)] for name, one in found.items()}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
