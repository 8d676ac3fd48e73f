"""A call: the caller's leg, the legs that were dialled for it, and everything that was started by it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import structlog

from cordboard.calls.events import CallAnswered, CallEventSink, Noted, Party, RecordingStarted, Spoken, Warned
from cordboard.media import MediaError
from cordboard.variables import Variables

if TYPE_CHECKING:
    from cordboard.calls.leg import Leg
    from cordboard.calls.user_agent import UserAgent

log = structlog.get_logger(__name__)
T = TypeVar("T")


class Call:
    """Use it as an asynchronous context: leaving it ends every task that the call started and every leg.

    ``recordings`` is the folder of all recordings; None: this call is not recorded.
    """

    def __init__(
        self,
        call_id: str,
        caller: Leg,
        variables: Variables,
        sink: CallEventSink,
        *,
        recordings: Path | None,
    ) -> None:
        self.call_id = call_id
        self.caller = caller
        self.legs: list[Leg] = [caller]
        self.variables = variables
        self.user_agent: UserAgent = caller.user_agent
        self.hung_up_by: Party | None = None
        self._sink = sink
        self.recordings = recordings
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._endings: list[Callable[[], None]] = []

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for ending in self._endings:
            try:
                ending()
            except Exception:
                log.exception("ending_failed", call_id=self.call_id)
        for task in tuple(self._tasks):
            task.cancel()
        for leg in self.legs:
            self.user_agent.reaper.take(leg)
        await self._group.__aexit__(kind, error, trace)

    def at_end(self, ending: Callable[[], None]) -> None:
        """Do this when the call is over, before its legs are hung up."""
        self._endings.append(ending)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something that ends with the call. Its failure is logged and noted; it cancels nothing else."""
        task = self._group.create_task(self._guarded(work))
        task.add_done_callback(lambda _: work.close())  # never begun, where the call ended at this very moment
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        except Exception as error:
            log.exception("call_task_failed", call_id=self.call_id)
            self.note("fault", text=f"{type(error).__name__}: {error}")
            raise asyncio.CancelledError from error

    # The record -----------------------------------------------------------------------------------------------------

    def note(self, kind: str, leg: str = "", **data: object) -> None:
        """One line of the timeline."""
        self._sink(Noted(self.call_id, kind, leg, data))

    def warn(self, text: str) -> None:
        """Something tolerated that the user should mend."""
        self._sink(Warned(self.call_id, text))

    def answered(self) -> None:
        self._sink(CallAnswered(self.call_id))

    def said(self, text: str, seconds: float) -> None:
        """The caller is being told this."""
        now = time.time()
        self._sink(Spoken(self.call_id, "bot", text, now, now + seconds))

    def heard(self, text: str, seconds: float = 0.0) -> None:
        """The caller said this, which ended just now."""
        now = time.time()
        self._sink(Spoken(self.call_id, "human", text, now - seconds, now))

    def record(self, leg: Leg) -> None:
        """Record a leg: what its party says on the left, what it hears on the right."""
        if self.recordings is None or leg.recording is not None:
            return
        path = Path(self.call_id) / f"{leg.name}.wav"
        try:
            leg.record(self.recordings / path)
        except (OSError, MediaError) as error:
            self.warn(f"the {leg.name} leg is not recorded: {getattr(error, 'strerror', None) or error}")
            return
        self._sink(RecordingStarted(self.call_id, f"{leg.name}.wav", str(path)))
