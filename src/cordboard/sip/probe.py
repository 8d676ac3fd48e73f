"""OPTIONS outside a dialog (RFC 3261 §11): what a peer allows."""

from __future__ import annotations

from collections.abc import Sequence

from cordboard.sip.config import Credentials
from cordboard.sip.core import Core
from cordboard.sip.credentials import authorizer
from cordboard.sip.dialog import Fields
from cordboard.sip.events import OptionsAnswered
from cordboard.sip.message import Response
from cordboard.sip.outgoing import OutgoingRequest
from cordboard.sip.uri import Uri


class Probe:
    """One OPTIONS until its final response."""

    __slots__ = ("_core", "_id", "_request")

    def __init__(
        self,
        core: Core,
        identifier: str,
        uri_text: str,
        fields: Fields,
        next_hop: Uri,
        credentials: Sequence[Credentials],
    ) -> None:
        self._core = core
        self._id = identifier
        self._request = OutgoingRequest(
            core,
            "OPTIONS",
            uri_text,
            fields,
            b"",
            cseq=1,
            next_cseq=self._next_cseq,
            next_hop=next_hop,
            session=identifier,
            on_response=self._answered,
            on_failed=self._failed,
            authorizer=authorizer(credentials, core.identifiers),
            contact=True,
        )

    def _next_cseq(self) -> int:
        return self._request.cseq + 1

    def start(self, now: float) -> None:
        """Send it."""
        self._request.start(now)

    def _answered(self, request: OutgoingRequest, response: Response, now: float) -> None:
        if response.status >= 200:
            self._core.emit(OptionsAnswered(self._id, response.status, response))

    def _failed(self, request: OutgoingRequest, kind: str, now: float) -> None:
        self._core.emit(OptionsAnswered(self._id, 408 if kind == "timeout" else 503, None))
