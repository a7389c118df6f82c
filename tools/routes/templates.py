"""Ways of asking, by the route that they belong to, one a line. Every fourth is held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

_WRITTEN: Final[Mapping[str, str]] = {
    "KNOWLEDGE": """
How do I {verb} {thing}?
What is {thing}?
How are {topic} handled?
Where is {thing} configured?
What does the documentation say about {topic}?
Why does {thing} need {topic}?
explain {topic} in tandem
{topic}: how does it work
Which file do I edit to {verb} {thing}?
Can I {verb} {thing} without a restart?
What happens when {thing} fails?
how to {verb} {thing}
steps to {verb} {thing}
What is the difference between {thing} and {thing}?
Where do I find {topic}?
Is it possible to {verb} {thing}?
Who may {verb} {thing}?
{verb} {thing} tutorial
Which command do I need to {verb} {thing}?
What are {topic} good for?
Tell me about {topic}.
What does {thing} do?
How long does {thing} take to {verb}?
I want to {verb} {thing}, what should I read?
What is meant by {topic}?
How does {thing} relate to {topic}?
docs for {topic}
what should I know about {thing}
When should I use {thing}?
How is {thing} tested?
Does tandem support {topic}?
What limits are there for {topic}?
I cannot {verb} {thing}, what is wrong?
Why was {thing} refused?
Could you explain {thing}?
My {topic} do not work.
How can I {verb} {thing} on two machines?
Are there examples of {topic}?
Can {thing} be written in Go?
How much memory does {thing} take?
{thing} vs {thing}
What are the rules for {topic}?
Which options does {thing} have?
Is {thing} safe to {verb}?
How often is {thing} renewed?
What is the purpose of {topic}?
Where are {topic} described?
I get an error when I {verb} {thing}
what are the steps after I {verb} {thing}
In which folder is {thing} kept?
How do you make {topic} faster?
Does {thing} survive a crash?
""",
    "MEMORY": """
Remember that {person} {fact}.
What did I tell you about {person}?
Do you remember {mine}?
Please note that {person} {fact}.
What is {mine} again?
Keep in mind: {person} {fact}
don't forget that {person} {fact}
What do you know about {person}?
I told you about {mine}, what was it?
Make a note: {person} {fact}.
When did I say that {person} {fact}?
Did I ever mention {mine}?
For later: {person} {fact}.
Save this: {person} {fact}
what did we say about {mine}
Who {fact}, as I said?
Recall what I said on {person}.
You should know that {person} {fact}.
Have I told you {mine}?
Write down that {person} {fact}.
which of my friends {fact}
store: {person} {fact}
What was it that {person} said last week?
Remind me of {mine}.
As of today {person} {fact}, remember it.
What have I told you so far about {person}?
Forget what I said: {person} {fact} now.
Where did I put {mine}?
{person} {fact}, keep that in mind.
Note to self: {person} {fact}
I mentioned {mine}, right?
What is it that {person} likes?
{person} {fact}. Remember this.
Do you still know {mine}?
Learn this about me: {mine} changed
What are the things I asked you to remember?
Tell me again who {fact}.
I want you to remember {mine}.
what is stored about {person}
Has {person} been mentioned before?
Please keep a note on {mine}.
you remember {person}, don't you?
Which notes do you have on {person}?
In our last talk I named {mine}.
""",
    "CHAT": """
Write {art} about {muse}.
Hello!
Hi there, how are you?
Thank you very much!
Translate '{sentence}' into {tongue}.
Tell me {art} about {muse}
Rewrite this more politely: {sentence}
Can you compose {art} on {muse}?
What do you think about {muse}?
Summarize this in one line: {sentence}
good evening
make up {art} for {person}
How would you describe {muse} to a child?
say '{sentence}' in {tongue}
Let's talk about {muse}.
Give me ideas for {art}.
I feel sad today, it is about {muse}
Correct the grammar: {sentence}
Imagine you are {muse}.
Draft {art} to {person}.
You are great, thanks
Continue the story: {muse} stood at the door
Brainstorm ten names for {muse}.
Who are you?
who would win, {muse} or {muse}?
Please improve my text: {sentence}
hey, what's up
Suggest a title for {art} about {muse}
Entertain me.
bye for now
Hello {person}
Thanks a lot!
ok, great
How was your day?
Nice to meet you
Write a poem for {person}
Please write {art}.
write me {art} in {tongue}
Sing about {muse}.
Create {art} with the word {muse} in it.
I need {art} for {person}, can you help?
Make this shorter: {sentence}
Paraphrase '{sentence}'
What is '{sentence}' in {tongue}?
How do you say '{sentence}' in {tongue}?
Summarize the story of {muse}.
Invent {art}.
Do you like {muse}?
What is your opinion on {muse}?
Let us play a game.
Pretend that you are {muse}.
Give me advice on {muse}.
Can you help me with {art}?
I love {muse}!
Say something nice.
What would you ask {muse}?
describe {muse} in three words
Act as if you were {person}.
Why do people love {muse}?
Which is more beautiful, {muse} or {muse}?
Write code that prints '{sentence}'.
Turn this into a question: {sentence}
Fix the spelling of: {sentence}
Cheer me up!
""",
    "TOOL": """
What is {number} times {other}?
Convert {number} {unit} to {into}.
{number} * {other} + {number}
How many {into} are in {number} {unit}?
{hash} of {sentence}
How many days until {day}?
What day is {span} from now?
What time is it in {city}?
calculate {number} / {other}
{number} {unit} in {into}
What weekday is {day}?
Compute the {hash} checksum of '{sentence}'.
{number} % of {other}
How long is it from {day} to {day}?
the date {span} before {day}
square root of {number}
What is the sum of {number} and {other}?
subtract {other} from {number}
How much is {number} {unit} in {into}?
add {span} to {day}
hash '{sentence}' with {hash}
divide {number} by {other}
which time zone does {city} have right now
Is {day} a weekend?
what is {number} to the power of {other}
({number} + {other}) * {number}
count the days between {day} and {day}
{number} {unit} equals how many {into}
{number} plus {other}
how much is {number} minus {other}
What is {number}^{other}?
Give me the {hash} of {sentence}
turn {number} {unit} into {into}
{span} after {day}
How many weeks are there until {day}?
What is the time now in {city}?
{number} / ({other} - {number})
Which date was {span} ago?
how many {into} make a {unit}
What is {number} percent of {other}?
If it is noon in {city}, what time is it in {city}?
work out {number} * {number} * {other}
""",
    "FLEET": """
Which {members} are {state}?
Is {member} {state}?
How many {members} are {state}?
What is the status of {member}?
Show me the {members}.
Are all {members} {state}?
list the {members} that are {state}
On which machine does {member} run?
Why is {member} {state}?
How is the fleet doing?
Is anything {state} right now?
Where is {member} running?
Who serves {member} at the moment?
fleet health
status of all {members}
Does {member} answer?
give me an overview of the {members}
Did {member} go down?
how many {members} does {member} have now
Are there {members} that are {state}?
What is running on {member}?
Is everything okay with {member}?
any {state} {members}?
ping {member}
Can {member} be reached?
What version does {member} run right now?
health of {member}
Tell me which {members} stopped.
Is {member} up?
Which {members} crashed?
Which {members} run on {member}?
Are the {members} okay?
What is {state} at the moment?
{member} status
Did any of the {members} restart?
Show the health of {member}.
Who is {state} on {member}?
count the {state} {members}
Is {member} slow or {state}?
How many {members} serve {member}?
Since when is {member} {state}?
Where are the {members}?
do all {members} respond
are there enough {members} running
Which of the {members} has {member}?
Everything {state}?
is the fleet {state}
check {member}
""",
}
TEMPLATES: Final[Mapping[str, Sequence[str]]] = {
    route: text.strip().splitlines() for route, text in _WRITTEN.items()
}
