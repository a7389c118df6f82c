"""What the templates are filled with, by slot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

_WRITTEN: Final[Mapping[str, str]] = {
    "thing": """
an agent | a checkpoint | a dependency | a secret | a feature flag | a schedule | a workflow | a
job | a pool | a namespace | a token | a contract | a policy | a port | a host | a group | the
edge | the registry | the event store | a session | a vector store | a benchmark | the mesh | a
canary | a breaker | a document | a caller key | a fleet file | the cache | an embedding model |
a pin | a release
""",
    "topic": """
retries | deadlines | tracing | supervision | checkpoints | priority classes | load shedding |
tenancy | secrets | flags | placement | health checks | leases | citations | embedding | exit
code 2 | the control plane | xDS | in-process calls | idempotency | backups | log lines |
reflection | streams | validation | the budget
""",
    "verb": """
add | change | delete | configure | start | create | test | rename | roll back | schedule | read
| rotate | inspect | export | restore | use | limit | undo
""",
    "person": """
Ada | my sister | Grace | the plumber | Mr. Okafor | our landlord | I | Tom | my manager | the
team | Lin | my dog | the client | Dr. Weiss
""",
    "fact": """
likes green tea | moved to Lisbon | is allergic to nuts | has the key of the archive | wants the
report on Fridays | was born in March | prefers short answers | drives the blue van | will be
away in August | signed the lease | plays the cello | uses a Dvorak keyboard | paid the deposit
| needs new glasses
""",
    "mine": """
my birthday | my favourite colour | the wifi password hint | my shoe size | the dentist | my
address | my editor | the spare key | my passport number | our anniversary | my flight | the
meeting room | my allergy | my car
""",
    "art": """
a haiku | a limerick | a short story | a toast | an apology | a cover letter | a joke | a
lullaby | a slogan | a tweet | a birthday card | a villain's speech
""",
    "muse": """
the sea | autumn | a lazy cat | two robots in love | a lost umbrella | coffee | my grandmother |
a broken clock | winter mornings | an old lighthouse | Monday | a retired pirate | rain on a tin
roof
""",
    "tongue": """
French | German | Spanish | Japanese | Latin | plain English | Welsh
""",
    "sentence": """
the train leaves at nine | where is the library | I would like a coffee | good morning to you
all | the cat sat on the mat | we are out of milk
""",
    "number": """
3 | 12 | 7.5 | 144 | 0.25 | 99 | 1000 | 64 | 2.5 | 18 | 365
""",
    "other": """
4 | 17 | 6 | 1.5 | 80 | 33 | 250 | 9 | 21
""",
    "unit": """
miles | kilometers | pounds | kilograms | celsius | fahrenheit | inches | liters | gallons |
hours | megabytes | acres | feet | joules | knots
""",
    "into": """
meters | grams | kelvin | cups | minutes | gibibytes | hectares | yards | seconds | centimeters
| ounces | bytes | calories
""",
    "hash": """
sha256 | md5 | SHA-512 | blake3 | sha1 | crc32
""",
    "day": """
2026-03-01 | December 25, 2026 | tomorrow | 1 May 2027 | 2025-11-30 | today | the 4th of July |
new year's eve | Easter Sunday | next Friday
""",
    "span": """
3 weeks | 90 days | two months | 10 business days | a year | 45 minutes
""",
    "city": """
Tokyo | New York | Paris | Sydney | UTC | Nairobi | Berlin | Lima
""",
    "member": """
utility-toolbox | memory-cache | the event store | platform-system | the knowledge base |
models-model | control-registry | the scheduler | pc2 | the gateway | mainpc | memory-answer |
the config server
""",
    "members": """
agents | hosts | services | machines | instances | replicas | processes
""",
    "state": """
healthy | up | running | serving | down | unhealthy | drained | alive | suspended | restarting |
not serving | stuck
""",
}
WORDS: Final[Mapping[str, Sequence[str]]] = {
    slot: [one.strip() for one in " ".join(text.split()).split("|")]
    for slot, text in _WRITTEN.items()
}
