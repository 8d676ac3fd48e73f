"""The recorder: receives what calls and transfers report, and writes it into the record."""

from __future__ import annotations

from dataclasses import asdict, replace

from cordboard.calls import events as calls
from cordboard.conversation.call_actions import ActionExecuted
from cordboard.records.models import (
    CUSTOM_FUNCTION_ACTION,
    EXTRACT_INFO_ACTION,
    TRANSFER_ACTION,
    CallRecord,
    CallStatus,
    CallType,
    DisconnectReason,
    ExecutedAction,
    Recording,
    TelephonyHangup,
    TransferReturnValue,
)
from cordboard.records.ports import CallSink
from cordboard.records.text import to_json, to_object
from cordboard.sip.flow import HostPort
from cordboard.transfer import ports as transfers
from cordboard.transfer.outcome import Claim

Report = calls.CallEvent | transfers.TransferEvent | ActionExecuted


class Recorder:
    """One for the process; call it with every report. Never blocks (see `CallSink`)."""

    def __init__(self, sink: CallSink, *, node_id: str = "") -> None:
        self._sink = sink
        self._node_id = node_id
        self._recordings: dict[str, tuple[Recording, ...]] = {}
        self._actions: dict[str, ExecutedAction] = {}
        self._open: set[str] = set()

    def __call__(self, report: Report) -> None:
        sink = self._sink
        match report:
            case calls.CallOpened():
                self._opened(report)
            case calls.CallAnswered(call_id=call_id):
                sink.update_call(call_id, status=CallStatus.IN_PROGRESS, answered_at=report.at)
            case calls.Noted(call_id=call_id, kind=kind, leg=leg, data=data):
                sink.event(call_id, kind, leg=leg, data=to_object(data))
            case calls.Warned(call_id=call_id, text=text):
                sink.warning(call_id, text)
            case calls.Spoken(call_id=call_id, speaker=speaker, text=text, started=started, ended=ended):
                sink.transcript(call_id, speaker, text, started=started, ended=ended)
            case calls.SipSeen(call_id=call_id, leg=leg, trace=trace):
                sink.sip_message(
                    call_id,
                    trace.direction,
                    trace.transport,
                    _address(trace.local),
                    _address(trace.remote),
                    trace.data,
                    session=leg,
                )
            case calls.RecordingStarted(call_id=call_id, name=name, path=path):
                recordings = (*self._recordings.get(call_id, ()), Recording(name, path))
                self._recordings[call_id] = recordings
                sink.update_call(call_id, recordings=recordings)
            case calls.CallClosed():
                self._closed(report)
            case ActionExecuted():
                self._executed(report)
            case transfers.TransferStarted():
                self._transfer_started(report)
            case transfers.TransferStep(call_id=call_id):
                data = to_object(asdict(report))
                data.pop("call_id")
                sink.event(call_id, "transfer.step", data=data)
            case transfers.TransferNews(call_id=call_id, name=name, leg=leg, action_id=action_id):
                sink.event(call_id, f"transfer.{name}", leg=leg, data={"action_id": action_id})
            case transfers.TransferClaimed(call_id=call_id, action_id=action_id, claim=claim):
                self._transfer_ended(call_id, action_id, claim)
                data = {
                    "action_id": action_id,
                    "outcome": str(claim.outcome),
                    "reason": str(claim.reason),
                    "verified": claim.verified,
                    "caller_silence_ms": report.caller_silence_ms,
                }
                sink.event(call_id, "transfer.outcome", data=to_object(data))
            case transfers.TransferFinished(call_id=call_id, action_id=action_id, claim=claim):
                self._transfer_ended(call_id, action_id, claim)
                self._actions.pop(action_id, None)

    def _opened(self, report: calls.CallOpened) -> None:
        self._open.add(report.call_id)
        self._sink.open_call(
            CallRecord(
                call_id=report.call_id,
                model_id=report.model_id,
                workspace_id=report.workspace_id,
                type=CallType(report.direction),
                from_number=report.from_number,
                to_number=report.to_number,
                started_at=report.at,
                timezone=report.timezone,
                prompt_variables=to_object(report.variables),
                custom_variables=to_object(report.custom_variables),
                external_id=report.external_id,
                diversion=report.diversion,
                prepared_id=report.prepared_id,
                sip_call_id=report.sip_call_id,
                node_id=self._node_id,
            )
        )

    def _closed(self, report: calls.CallClosed) -> None:
        if report.call_id not in self._open:
            return
        self._open.discard(report.call_id)
        self._recordings.pop(report.call_id, None)
        by = report.hung_up_by
        self._sink.close_call(
            report.call_id,
            status=CallStatus(report.status),
            end_call_reason=report.reason,
            telephony_hangup=TelephonyHangup(by) if by else None,
            telephony_disconnect_reason=_disconnect(report),
            error_message=report.error,
        )

    def _executed(self, report: ActionExecuted) -> None:
        custom = report.type == "CUSTOM_ACTION"
        self._sink.action(
            report.call_id,
            ExecutedAction(
                action_id=report.execution_id,
                name=report.name,
                action_type=CUSTOM_FUNCTION_ACTION if custom else EXTRACT_INFO_ACTION,
                started_at=report.started,
                ended_at=report.ended,
                description=report.description,
                parameters_hard_coded=to_object(report.parameters_hard_coded),
                parameters_from_llm=to_object(report.parameters_from_llm),
                return_value=to_json(report.return_value),
                error_message=report.error,
            ),
        )

    def _transfer_started(self, report: transfers.TransferStarted) -> None:
        action = ExecutedAction(
            action_id=report.action_id,
            name=report.name,
            action_type=TRANSFER_ACTION,
            started_at=report.at,
            description=report.description,
            parameters_hard_coded=to_object(report.parameters),
        )
        self._actions[report.action_id] = action
        self._sink.action(report.call_id, action)

    def _transfer_ended(self, call_id: str, action_id: str, claim: Claim) -> None:
        started = self._actions.get(action_id)
        if started is None:
            return
        evidence = claim.evidence
        connected = next((each.human_connected for each in evidence.attempts if each.human_connected), None)
        action = replace(
            started,
            ended_at=claim.at,
            return_value=TransferReturnValue(str(claim.outcome), str(claim.reason), connected),
            attempts=tuple(to_object(asdict(attempt)) for attempt in evidence.attempts),
            verified=claim.verified,
        )
        self._actions[action_id] = action
        self._sink.action(call_id, action)


def _disconnect(report: calls.CallClosed) -> DisconnectReason:
    if report.hung_up_by == "caller":
        return DisconnectReason.CALLER_HANGUP
    if report.hung_up_by == "callee":
        return DisconnectReason.CALLEE_HANGUP
    return DisconnectReason.ERROR if report.error else DisconnectReason.UNKNOWN


def _address(address: HostPort) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
