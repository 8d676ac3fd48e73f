"""The agent on the line: greets, listens, decides, asks for a transfer.

What the caller says comes in three ways, all equal: recognised speech, keys, and typed text. While the caller is on
hold or joined, the agent is parked: its ear and its mouth are unplugged and nothing that arrives is answered.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import structlog

from cordboard.calls.call import Call
from cordboard.calls.leg import LegConfirmed, LegEnded, LegEvent, LegFailed, LegKey, LegMark, LegMediaSeen
from cordboard.directory.actions import CustomAction, EndCall, LiveTransfer, SendDtmf
from cordboard.directory.agents import Agent, AttachedAction
from cordboard.media import MediaError
from cordboard.speech.ports import Hearing, Recogniser, SpeechError

from .call_actions import CallActions
from .model import Message, Model, ModelError, StructuredModel, TextDelta, Tool, ToolCall
from .narrator import Narrator
from .ports import Transfers
from .rules import Rules

log = structlog.get_logger(__name__)

APOLOGY = "I am sorry, something went wrong on my side. Please say that again."
GOODBYE = "I cannot hear you, so I will hang up now. Goodbye."
TIME_IS_UP = "I am sorry, our time is up, so I have to hang up now. Goodbye."
BACK_AGAIN = "You are back with me. Is there anything else that I can do for you?"
STILL_THERE = "Are you still there?"
NOT_UNDERSTOOD = "I am sorry, I did not understand that."
MAX_WAITING_INPUTS = 32
MAX_MESSAGES = 200
MAX_TOOL_ROUNDS = 5
"""Actions that the model may run one after the other before the caller is asked again."""
DONE = "That is done. How else can I help you?"
NOT_DONE = "I am sorry, that did not work. How else can I help you?"


@dataclass(frozen=True, slots=True)
class ConversationLimits:
    """Seconds, from the settings of the same names; ``silence_prompts`` is a count."""

    greeting: float
    confirmation: float
    silence_prompt: float
    silence_prompts: int
    model_turn: float
    hang_up_speech: float
    longest_agent_phase: float


@dataclass(frozen=True, slots=True)
class Input:
    """Something from the caller. ``seconds`` is how long it took to say."""

    kind: Literal["speech", "key", "typed"]
    text: str
    intent: str | None = None
    seconds: float = 0.0
    fault: bool = False
    """The recogniser failed: nothing is known of what was said."""


@dataclass(slots=True)
class _Turns:
    messages: list[Message] = field(default_factory=list)

    def add(self, message: Message) -> None:
        self.messages.append(message)
        if len(self.messages) > MAX_MESSAGES:
            del self.messages[1 : len(self.messages) - MAX_MESSAGES + 1]


class AgentOnLine:
    """One agent on one call. ``run`` returns when the call is over or the agent has hung up."""

    def __init__(
        self,
        call: Call,
        agent: Agent,
        actions: tuple[AttachedAction, ...],
        *,
        model: Model,
        rules: Rules,
        narrator: Narrator,
        recogniser: Recogniser | None,
        transfers: Transfers,
        limits: ConversationLimits,
        call_actions: CallActions | None = None,
    ) -> None:
        self.call = call
        self.agent = agent
        self.ended_by_agent = False
        self.reason = ""
        """Why the agent ended the call, where it did."""
        self._actions = actions
        self._model = model
        self._rules = rules
        self._narrator = narrator
        self._recogniser = recogniser
        self._transfers = transfers
        self._limits = limits
        self._call_actions = call_actions
        self._inputs: asyncio.Queue[Input] = asyncio.Queue(MAX_WAITING_INPUTS)
        self._confirmed = asyncio.Event()
        self._over = asyncio.Event()
        self._marks: dict[int, asyncio.Event] = {}
        self._mark_ids = itertools.count(1)
        self._turns = _Turns()
        if call_actions is not None:
            call_actions.messages = self._turns.messages
        self._parked = False
        self._elsewhere = 0.0
        """Seconds that the caller was not with the agent."""
        self._speaking: asyncio.Event | None = None
        self._hearing: Hearing | None = None
        self._stop_listening: Callable[[], None] | None = None

    # The caller's side ----------------------------------------------------------------------------------------------

    def typed(self, text: str) -> bool:
        """Text instead of speech (tests, chat); False while the agent is off the line or too much waits."""
        return self._take(Input("typed", text))

    def hang_up(self) -> None:
        """An operator ends the call."""
        self.call.caller.hangup()

    def _take(self, given: Input) -> bool:
        if self._parked or self._over.is_set():
            return False
        try:
            self._inputs.put_nowait(given)
        except asyncio.QueueFull:
            self.call.note("input.dropped", "caller", way=given.kind)  # which key it was stays unsaid
            return False
        return True

    def _from_caller(self, event: LegEvent) -> None:
        match event:
            case LegConfirmed():
                self._confirmed.set()
            case LegKey(digit=digit, source=source):
                self.call.note("dtmf", "caller", source=source)
                if self._take(Input("key", digit)):
                    self._interrupt()
            case LegMark(id=mark):
                played = self._marks.pop(mark, None)
                if played is not None:
                    played.set()
            case LegMediaSeen():
                self.call.note("media", "caller")
            case LegEnded() | LegFailed():
                self._over.set()
            case _:
                pass

    # The run --------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """From the answer to the end of the agent's part."""
        stop = self.call.caller.subscribe(self._from_caller)
        if self.call.caller.over:
            self._over.set()
        talk = asyncio.ensure_future(self._talk())
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({talk, over}, return_when=asyncio.FIRST_COMPLETED)
            if not talk.done() and self._parked:
                # The transfer sees the caller's end by itself and reports.
                await asyncio.wait({talk}, timeout=self._limits.hang_up_speech)
            error = talk.exception() if talk.done() and not talk.cancelled() else None
            # A jack that closed with its leg, between two steps of the talk, is the end of the call and no fault.
            if error is not None and not (self.call.caller.over and isinstance(error, MediaError)):
                raise error
        finally:
            stop()
            talk.cancel()
            over.cancel()
            await asyncio.gather(talk, over, return_exceptions=True)
            await self._deafen()

    async def before_call(self) -> None:
        """Run the actions that must end before the first word. May be called before the answer; runs them once."""
        if self._call_actions is not None:
            await self._call_actions.before_call()

    async def after_call(self) -> None:
        """Extract from the conversation and run the actions that follow it. For after the call's end."""
        if self._call_actions is not None:
            await self._call_actions.after_call()

    async def _talk(self) -> None:
        caller = self.call.caller
        if self._over.is_set():
            return
        caller.jack.hears(self.call.user_agent.comfort)
        await self.before_call()
        prefetch = [
            action.initiating_msg
            for action, _ in self._actions
            if isinstance(action, LiveTransfer) and action.initiating_msg
        ]
        greeting = self.call.variables.render(self.agent.greeting_message)
        self._turns.add(Message("system", self.call.variables.render(self.agent.prompt)))
        rendering = asyncio.ensure_future(self._narrator.prefetch([greeting]))
        try:
            # Lesson 22: what is played before the caller's ACK may be clipped.
            async with asyncio.timeout(self._limits.confirmation):
                await self._confirmed.wait()
        except TimeoutError:
            self.call.note("ack.missing", "caller")
        except asyncio.CancelledError:
            rendering.cancel()
            raise
        await rendering
        self.call.spawn(self._narrator.prefetch([*prefetch, APOLOGY]))
        await self._listen()
        await self._greet(greeting)
        await self._converse()

    async def _greet(self, greeting: str) -> None:
        if self.agent.greeting_message_mode == "human":
            wait = self.agent.greeting_message_human_talk_timeout or self._limits.greeting
            try:
                async with asyncio.timeout(wait):
                    first = await self._inputs.get()
            except TimeoutError:
                pass
            else:
                await self._answer(first)
                return
        if greeting.strip():
            await self._say(greeting)

    async def _converse(self) -> None:
        prompts = 0
        deadline = asyncio.get_running_loop().time() + self._limits.longest_agent_phase
        while not self._over.is_set() and not self.ended_by_agent:
            if asyncio.get_running_loop().time() - self._elsewhere > deadline:
                await self._end("timeout", TIME_IS_UP)
                return
            try:
                async with asyncio.timeout(self._limits.silence_prompt):
                    given = await self._inputs.get()
            except TimeoutError:
                if prompts >= self._limits.silence_prompts:
                    self.call.note("silence", "caller", prompts=prompts)
                    await self._end("timeout", GOODBYE)
                    return
                prompts += 1
                await self._say(STILL_THERE)
                continue
            prompts = 0
            await self._answer(given)

    async def _answer(self, given: Input) -> None:
        if self._over.is_set():
            return
        if given.fault:
            await self._say(APOLOGY)
            return
        if given.kind == "key":
            attached = self._by_key(given.text)
            if attached is not None:
                await self._run_action(attached, {})
            return
        self.call.heard(given.text or "(not understood)", given.seconds)
        if not given.text and given.intent is None:
            await self._say(NOT_UNDERSTOOD)
            return
        self._turns.add(Message("user", given.text, intent=given.intent))
        await self._turn()

    async def _turn(self, rounds: int = 0) -> None:
        words: list[str] = []
        wanted: ToolCall | None = None
        tools = (
            self._call_actions.tools()
            if self._call_actions is not None
            else [Tool(each.action.name, each.instructions) for each in self._actions]
        )
        if rounds >= MAX_TOOL_ROUNDS:
            tools = []
        try:
            async with asyncio.timeout(self._limits.model_turn):
                async for event in self._model.turn(self._turns.messages, tools):
                    if isinstance(event, TextDelta):
                        words.append(event.text)
                    elif isinstance(event, ToolCall) and wanted is None:
                        wanted = event
        except (ModelError, TimeoutError) as error:
            self.call.note("model.failed", text=str(error) or "time limit")
            await self._say(APOLOGY)
            return
        except Exception as error:
            log.exception("model_failed", call_id=self.call.call_id)
            self.call.note("model.failed", text=type(error).__name__)
            await self._say(APOLOGY)
            return
        text = "".join(words).strip()
        if text or (wanted is not None and isinstance(self._model, StructuredModel)):
            self._turns.add(Message("assistant", text, tool_calls=(wanted,) if wanted else ()))
        if text:
            await self._say(text)
        if wanted is None:
            return
        attached = next((each for each in self._actions if each.action.name == wanted.name), None)
        if attached is None:
            self.call.note("tool.unknown", text=wanted.name)
            await self._say(APOLOGY)
            return
        await self._run_action(attached, wanted.arguments, wanted.id, rounds)

    def _by_key(self, digit: str) -> AttachedAction | None:
        """The action of this key; 0 asks for a person also where no action names it."""
        for attached in self._actions:
            if attached.action.key == digit:
                return attached
        if digit == "0":
            return next((each for each in self._actions if isinstance(each.action, LiveTransfer)), None)
        return None

    async def _run_action(
        self,
        attached: AttachedAction,
        arguments: Mapping[str, object],
        tool_call_id: str | None = None,
        rounds: int = 0,
    ) -> None:
        action = attached.action
        self.call.note("action", name=action.name, type=action.type)
        match action:
            case LiveTransfer():
                await self._transfer(attached, action, arguments)
            case EndCall():
                await self._end("agent_ended_call", action.message)
            case SendDtmf():
                try:
                    self.call.caller.send_keys(action.digits)
                except Exception as error:
                    self.call.note("dtmf.failed", "caller", text=str(error))
            case CustomAction() if self._call_actions is not None:
                await self._custom(self._call_actions, attached, action, arguments, tool_call_id, rounds)
            case _:
                self.call.note("action.unsupported", name=action.name, type=action.type)
                await self._say("I am sorry, I cannot do that.")

    async def _custom(
        self,
        call_actions: CallActions,
        attached: AttachedAction,
        action: CustomAction,
        arguments: Mapping[str, object],
        tool_call_id: str | None,
        rounds: int,
    ) -> None:
        """Run it under its own words; then the model says what came of it, or we do in its place."""
        result = await call_actions.during(attached, arguments, self._say)
        self.call.note("action.ended", name=action.name, status=result.status, error=result.error)
        told = f"{self.call.variables.render(action.prompt)}\n{result.told()}".strip()
        self._turns.add(Message("tool", told, tool_call_id=tool_call_id))
        if isinstance(self._model, StructuredModel):
            await self._turn(rounds + 1)
        elif result.ok:
            await self._say(DONE)
        elif not action.message_error.strip():
            await self._say(NOT_DONE)

    async def _transfer(self, attached: AttachedAction, action: LiveTransfer, arguments: Mapping[str, object]) -> None:
        self._park()
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            report = await self._transfers.run(
                self.call, self.agent, attached, action, arguments, self._narrator, self._park, self._call_actions
            )
        except Exception as error:
            if self.call.caller.over:
                raise
            log.exception("transfer_failed", call_id=self.call.call_id)
            self.call.note("fault", text=f"{type(error).__name__}: {error}")
            self._unpark()
            await self._say(APOLOGY)
            return
        self._elsewhere += loop.time() - began
        if not report.returned or self.call.caller.over:
            self._over.set()
            return
        self._unpark()
        if report.outcome == "transfer-success":
            self._turns.add(Message("system", "The caller has spoken with the person and is back with you."))
            await self._say(BACK_AGAIN)
            return
        self._turns.add(Message("system", f"The transfer did not succeed: {report.outcome}, {report.reason}."))
        await self._say(report.message or _words_for(report.reason))

    # Mouth and ear --------------------------------------------------------------------------------------------------

    async def _say(self, text: str) -> None:
        """Speak and wait until it has been played, or interrupted."""
        caller = self.call.caller
        try:
            speech = await self._narrator.render(text)
        except SpeechError as error:
            self.call.note("voice.failed", text=str(error))
            if text != APOLOGY:
                await self._say(APOLOGY)  # rendered at the start of the call, so the voice has it at hand
            return
        if self._over.is_set() or self._parked or not speech.data:
            return
        played = asyncio.Event()
        mark = next(self._mark_ids)
        self._marks[mark] = played
        caller.jack.hears(caller.jack.say)
        try:
            caller.jack.say.write(speech.data, speech.rate)
        except MediaError as error:  # longer than what may wait
            self.call.note("speech.failed", "caller", text=str(error))
            caller.jack.hears(self.call.user_agent.comfort)
            return
        caller.jack.say.mark(mark)
        self.call.said(text, speech.seconds)
        self._speaking = played
        try:
            async with asyncio.timeout(speech.seconds + 2):
                await played.wait()
        except TimeoutError:
            self.call.note("speech.unfinished", "caller")
        finally:
            self._speaking = None
            self._marks.pop(mark, None)
            if not self._parked and not caller.over:
                caller.jack.hears(self.call.user_agent.comfort)

    def _interrupt(self) -> None:
        """The caller acts while the agent talks: stop talking."""
        if self._speaking is not None:
            lost = self.call.caller.jack.say.flush()
            self.call.note("speech.interrupted", "caller", unheard_ms=round(lost))
            self._speaking.set()

    async def _end(self, reason: str, words: str) -> None:
        if words:
            await self._say(self.call.variables.render(words))
        if self.call.caller.over:  # who has hung up meanwhile was not hung up on
            return
        self.ended_by_agent = True
        self.reason = reason
        self.call.caller.hangup()
        self._over.set()

    async def _listen(self) -> None:
        """Open the ear. Without a recogniser the keys still work."""
        if self._recogniser is None or self._hearing is not None:
            return
        try:
            hearing = self._recogniser.listen(self._rules.phrases())
        except SpeechError as error:
            self.call.note("recogniser.failed", text=str(error))
            return
        self._hearing = hearing
        self._stop_listening = self.call.user_agent.listen(self.call.caller, hearing.feed)
        self.call.spawn(self._hear(hearing))

    async def _hear(self, hearing: Hearing) -> None:
        async for utterance in hearing:
            if utterance.fault is not None:
                self.call.note("recogniser.failed", text=str(utterance.fault))
                self._take(Input("speech", "", fault=True))
                continue
            self.call.note(
                "heard",
                "caller",
                intent=utterance.intent,
                confidence=round(utterance.confidence, 2),
                latency_ms=round(utterance.latency * 1000),
            )
            self._take(Input("speech", utterance.text, utterance.intent, utterance.ended - utterance.started))

    async def _deafen(self) -> None:
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None
        if self._hearing is not None:
            await self._hearing.close()
            self._hearing = None

    def _park(self) -> None:
        """Lessons 15 and 24: on hold the agent hears nothing, and what it was saying is forgotten."""
        self._parked = True
        self.call.caller.jack.say.flush()
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None
        if self._hearing is not None:
            self._hearing.discard()
        while not self._inputs.empty():
            self._inputs.get_nowait()

    def _unpark(self) -> None:
        self._parked = False
        caller = self.call.caller
        caller.jack.say.flush()
        caller.jack.hears(self.call.user_agent.comfort)
        if self._hearing is not None:
            self._hearing.discard()
            self._stop_listening = self.call.user_agent.listen(caller, self._hearing.feed)


def _words_for(reason: str) -> str:
    """What the agent says when a transfer has failed and the action has no words of its own."""
    return {
        "busy": "I am sorry, the line is busy right now. How else can I help you?",
        "no_answer": "I am sorry, nobody is answering right now. How else can I help you?",
        "declined": "I am sorry, nobody can take your call right now. How else can I help you?",
        "rejected_by_destination": "I am sorry, nobody can take your call right now. How else can I help you?",
    }.get(reason, "I am sorry, I could not connect you. How else can I help you?")
