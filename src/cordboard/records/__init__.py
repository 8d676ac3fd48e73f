"""The record: what happened on each call, written without making a call wait, and read by the API.

store = await RecordStore.open("sqlite:///var/cordboard.db", settings)
writer = RecordWriter(store.engine, settings)
await writer.start()
...
await writer.aclose()
await store.aclose()
"""

from cordboard.records.models import (
    CUSTOM_FUNCTION_ACTION,
    EXTRACT_INFO_ACTION,
    TRANSFER_ACTION,
    CallChanges,
    CallDetails,
    CallRecord,
    CallStatus,
    CallType,
    Claim,
    ClaimRefusal,
    DisconnectReason,
    EndCallReason,
    Event,
    ExecutedAction,
    PreparedCall,
    Recording,
    SipMessage,
    TelephonyHangup,
    TranscriptLine,
    TransferReturnValue,
)
from cordboard.records.ports import CallFilter, CallPage, CallReader, CallSink, PreparedCalls, PreparedLimitError
from cordboard.records.settings import RecordSettings
from cordboard.records.store import RecordStore
from cordboard.records.writer import RecordWriter

__all__ = [
    "CUSTOM_FUNCTION_ACTION",
    "EXTRACT_INFO_ACTION",
    "TRANSFER_ACTION",
    "CallChanges",
    "CallDetails",
    "CallFilter",
    "CallPage",
    "CallReader",
    "CallRecord",
    "CallSink",
    "CallStatus",
    "CallType",
    "Claim",
    "ClaimRefusal",
    "DisconnectReason",
    "EndCallReason",
    "Event",
    "ExecutedAction",
    "PreparedCall",
    "PreparedCalls",
    "PreparedLimitError",
    "RecordSettings",
    "RecordStore",
    "RecordWriter",
    "Recording",
    "SipMessage",
    "TelephonyHangup",
    "TranscriptLine",
    "TransferReturnValue",
]
