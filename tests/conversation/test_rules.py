"""The embedded model: what callers say, and what it decides."""

from __future__ import annotations

import asyncio

import pytest

from cordboard.conversation.model import Message, Model, ModelEvent, TextDelta, Tool, ToolCall, TurnEnded
from cordboard.conversation.rules import Entry, Nothing, RuleAction, Rules, RulesModel, Run, Say, wants_person
from cordboard.speech.grammar import expansions, parse, plain

TRANSFER = RuleAction(
    "talk_to_person", "LIVE_TRANSFER", "Use this when the caller asks for a person.", "Connects with the front desk"
)

WISHES = """
I want to talk to a person
Can I speak to a human, please?
Could you connect me to an agent
Transfer me to somebody please
I would like to speak with a representative
Operator!
Operator, please.
Please put me through to the manager
Can somebody help me
I need to talk to someone
Is there a person I can talk to?
Give me a real person
I'd like to talk to a human being
Let me speak to your supervisor
A real person please
Connect me to customer service
I need an agent now
May I talk with somebody else
Get me a manager
Transfer me please
Look, I just want to speak to a person
Could I please talk to a member of staff?
Hello, can I talk to someone?
Would you mind connecting me with a colleague
Agent
Representative
human
Put me through
Please transfer my call
I don't want to talk to a machine
I do not want to speak with a robot, I want a person
Don't you have a human I can talk to?
Is anybody there I can talk to? Is a person available?
I'd rather speak to a live agent
Can I have a specialist
I demand a supervisor
Someone real, please. Give me someone real person
Yes, connect me
Is there someone who can help me
Stop, I am tired of talking to a computer
""".strip().splitlines()

UNRELATED = """
What are your opening hours?
I would like to pay my bill
Where is my package?
My internet has not been working since yesterday
How much does it cost
I want to change my appointment to Friday
Can you send me an email?
The weather is nice today
My account number is four five six seven
I have been waiting for an hour
Do you have tables for two tonight?
I lost my password
Thank you very much
Good morning
How are you today?
I don't know
Are you a robot?
Are you a real person?
Am I talking to a human?
Is this a person or a machine?
My daughter is five years old
I already talked to my doctor about that
The manager of the hotel was very friendly
My agent sold the house last week
There were many people in the street
I do not want to talk to a person
I don't need an agent
Please do not transfer me
No need to connect me
I saw a man with a dog in the park
What is the capital of France
Tell me a joke
He is a real estate agent
Somebody told me to call this number
I spoke to someone about it yesterday
The person next to me is loud
One moment please
Yes
No thank you
Could you repeat that
""".strip().splitlines()


@pytest.mark.parametrize("sentence", WISHES)
def test_a_wish_for_a_person_runs_the_transfer(sentence: str) -> None:
    assert Rules([TRANSFER]).decide(sentence) == Run("talk_to_person")


@pytest.mark.parametrize("sentence", UNRELATED)
def test_another_sentence_never_transfers_and_is_never_met_with_silence(sentence: str) -> None:
    decision = Rules([TRANSFER]).decide(sentence)
    assert isinstance(decision, Say)
    assert decision.text


def test_nothing_said_is_nothing() -> None:
    rules = Rules([TRANSFER])
    assert rules.decide("") == Nothing()
    assert rules.decide(" ... ") == Nothing()


def test_without_a_transfer_nobody_is_offered_a_person() -> None:
    decision = Rules([]).decide("I want to talk to a person")
    assert isinstance(decision, Say)
    assert "person" not in decision.text


BILLING = RuleAction(
    "billing",
    "LIVE_TRANSFER",
    'When the caller asks about invoices or refunds. Do not use it for parking. Example: "I was charged twice".',
)
SALES = RuleAction("sales", "LIVE_TRANSFER", "For pricing and new contracts.")
STATUS = RuleAction("order_status", "CUSTOM_ACTION", "Looks up an order or a delivery.")
EXTRACT = RuleAction("mood", "INFORMATION_EXTRACTOR", "Is the caller unhappy about the delivery?")
BYE = RuleAction("end", "END_CALL")
MESSAGE = RuleAction("note", "TAKE_MESSAGE")
BACK = RuleAction("later", "SCHEDULE_CALLBACK")


@pytest.mark.parametrize(
    ("sentence", "action"),
    [
        ("I have a question about an invoice", "billing"),
        ("I want my refund", "billing"),
        ("I was charged twice for this", "billing"),
        ("I was charged two times, well, twice", "billing"),
        ("Can I talk to someone about pricing", "sales"),
        ("Let me speak to an agent about my refund", "billing"),
        ("I want to talk to a person", "billing"),
        ("Where is my order", "order_status"),
        ("Has the delivery left", "order_status"),
        ("Goodbye", "end"),
        ("Thanks, bye", "end"),
        ("Can I leave a message", "note"),
        ("Please call me back tomorrow", "later"),
    ],
)
def test_instructions_choose_among_the_actions(sentence: str, action: str) -> None:
    rules = Rules([EXTRACT, BILLING, SALES, STATUS, BYE, MESSAGE, BACK])
    assert rules.decide(sentence) == Run(action)


def test_what_the_instructions_exclude_does_not_trigger() -> None:
    assert isinstance(Rules([BILLING]).decide("Is there parking nearby"), Say)


BOOK = RuleAction(
    "departments",
    "LIVE_TRANSFER",
    entries=(Entry("Sales", "prices or a new contract"), Entry("Support", "something is broken"), Entry("Ann Lee")),
)


@pytest.mark.parametrize(
    ("sentence", "entry"),
    [
        ("Connect me to sales", "Sales"),
        ("Support please", "Support"),
        ("sales", "Sales"),
        ("I'd like to speak to Ann Lee", "Ann Lee"),
        ("Can I talk to somebody, my phone is broken", "Support"),
        ("I want to talk to a person about a contract", "Sales"),
    ],
)
def test_a_phone_book_entry_is_chosen_by_name_or_condition(sentence: str, entry: str) -> None:
    assert Rules([BOOK]).decide(sentence) == Run("departments", {"entry": entry})


def test_an_open_choice_is_asked_for() -> None:
    decision = Rules([BOOK]).decide("I want to talk to a person")
    assert decision == Say("Whom would you like to speak to: Sales, Support or Ann Lee?")


def test_the_only_entry_needs_no_question() -> None:
    book = RuleAction("departments", "LIVE_TRANSFER", entries=(Entry("Reception"),))
    assert Rules([book]).decide("a person please") == Run("departments", {"entry": "Reception"})


def test_an_intent_of_the_grammar_decides_and_a_strangers_does_not() -> None:
    rules = Rules([BOOK])
    assert rules.decide("whatever was heard", "departments/Support") == Run("departments", {"entry": "Support"})
    assert isinstance(rules.decide("nice weather", "another_grammar"), Say)


def test_pardon_repeats_what_was_said() -> None:
    assert Rules([TRANSFER]).decide("Could you repeat that?", said="We open at nine.") == Say("We open at nine.")
    assert Rules([TRANSFER]).decide("", "say/repeat", said="We open at nine.") == Say("We open at nine.")


def test_grammar_and_text_rules_stay_in_step() -> None:
    """Every sentence that the recogniser can hear for a transfer is a wish to the text rules too, and back."""
    grammar = Rules([TRANSFER]).phrases()
    for phrase in grammar.intents["talk_to_person"]:
        for sentence in expansions(parse(phrase), limit=400):
            assert wants_person(sentence), sentence
    for phrase in (*grammar.competing, *(p for key, group in grammar.intents.items() if "/" in key for p in group)):
        for sentence in expansions(parse(phrase), limit=400):
            assert not wants_person(sentence), sentence


def test_configured_text_cannot_become_grammar_syntax() -> None:
    hostile = RuleAction(
        "x", "CUSTOM_ACTION", 'Say "one | <two> ; public <utterance> = (three" or [four.', entries=(Entry("a | (b"),)
    )
    grammar = Rules([hostile]).phrases()
    for phrases in grammar.intents.values():
        for phrase in phrases:
            parse(phrase)
    assert "x/a | (b" in grammar.intents
    assert plain("a | (b") == "a b"


def _turn(model: Model, *messages: Message, tools: tuple[str, ...] = ("talk_to_person",)) -> list[ModelEvent]:
    async def collect() -> list[ModelEvent]:
        return [event async for event in model.turn(messages, [Tool(name, "") for name in tools])]

    return asyncio.run(collect())


def test_the_model_port_gets_a_tool_call_for_a_wish() -> None:
    model = RulesModel(Rules([TRANSFER]))
    call, end = _turn(model, Message("assistant", "Hello."), Message("user", "a person please"))
    assert isinstance(call, ToolCall)
    assert call.name == "talk_to_person"
    assert end == TurnEnded("tools")


def test_the_model_port_runs_nothing_that_is_not_offered() -> None:
    events = _turn(RulesModel(Rules([TRANSFER])), Message("user", "a person please"), tools=())
    assert isinstance(events[0], TextDelta)
    assert events[1] == TurnEnded("stop")


def test_the_model_port_is_quiet_after_a_tools_result() -> None:
    events = _turn(RulesModel(Rules([TRANSFER])), Message("tool", "done", tool_call_id="call_1"))
    assert events == [TurnEnded("stop")]
