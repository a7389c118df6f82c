"""Requests written one by one, of what people might ask, without a look at the templates. Never
trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

_WRITTEN: Final[Mapping[str, str]] = {
    "KNOWLEDGE": """
How do I add an agent?
Where is the token kept?
What is a dead letter?
Which languages have clients?
How are traces sampled?
what's an exit code of 2 mean
How can two machines share one registry?
I lost my checkpoint, can I get it back?
What ports does the platform use?
How do I write a test for a new agent?
Why was my call refused with OVERLOADED?
how does the scheduler survive a crash
Can agents be written in Go?
What is a namespace for?
Is there a limit on request size?
How do I undo a policy change?
where do log files go
What does drain mean?
How does the answer service cite documents?
Which databases can state be kept in?
What makes a call idempotent?
how do secrets get to an agent
What's the purpose of the edge?
How do I upgrade a running fleet?
""",
    "MEMORY": """
Remember that the release is on Friday.
my sister's name is Ruth, keep that in mind
What did I say about the budget meeting?
Do you still know where I parked?
Note: the server room code changed.
What's my favourite restaurant, I told you once?
Please remember I don't eat pork.
When is Ruth's birthday, did I mention it?
what have you stored about me
I never told you my middle name, did I?
Jot down that the contract ends in May.
What was the name of the book I recommended?
Remember this number: 4471
Who did I say has the spare key?
Keep a note that Bob owes me lunch
what do you remember from yesterday
""",
    "CHAT": """
Write me a poem about the moon
hello
thanks, that helped
Tell me a joke
Translate 'see you tomorrow' to Italian
Can you rephrase this email to sound nicer?
What's a good name for a bakery?
Write a haiku about servers
I'm bored
Give me three ideas for a birthday party
Pretend to be a wizard
good morning!
Explain love in one sentence
Summarise the plot of Hamlet
Help me write a speech for my best friend's wedding
Do you like music?
""",
    "TOOL": """
What is 17 * 23?
convert 10 km to miles
How many seconds are in a week?
sha256 of hello world
what date is 100 days from today
12.5% of 240
How many days are left until Christmas?
What's the time in London?
(4+5)*3-2
72 fahrenheit in celsius
what day of the week was 2000-01-01
md5 checksum of 'abc'
How old is someone born on 1990-06-01?
9 divided by 4
How many ounces in 2 pounds?
add 6 weeks to 2026-02-14
""",
    "FLEET": """
Which agents are healthy?
Is the cache running?
What's down right now?
Show me all hosts
Is memory-answer up?
Did anything crash?
How many agents do we have running?
What is the state of the fleet?
Where does the scheduler run at the moment?
Are the models serving?
Is pc2 reachable?
status
Which instances are drained?
Why is utility-files not serving?
Are we fully up?
list running services
""",
}
HANDWRITTEN: Final[Mapping[str, Sequence[str]]] = {
    route: text.strip().splitlines() for route, text in _WRITTEN.items()
}
