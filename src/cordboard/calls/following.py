"""Following a REFER of a leg's party (RFC 3515 §2.4): we call whom it names, and the leg goes on with that one.

The leg keeps its jack, its recording and whoever talks on it; only its session changes. Until the other answers, the
party stays; if nobody answers, nothing has happened but the NOTIFY that says so. Only a gateway with ``accept_refer``
gets here, and every target passes the dial policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from cordboard.calls.errors import DialRefusedError, MediaNegotiationError
from cordboard.calls.events import Noted
from cordboard.sip import events as sip
from cordboard.sip.address import Address
from cordboard.sip.errors import SipError
from cordboard.sip.fields import Reason

if TYPE_CHECKING:
    from cordboard.calls.leg import Leg
    from cordboard.calls.user_agent import UserAgent
    from cordboard.sip.redirection import Gate

log = structlog.get_logger(__name__)

CARRIED = ("Replaces", "User-to-User")
"""Headers that a Refer-To may put on our INVITE (RFC 3261 §19.1.5: all others are the peer's wish, not ours)."""


class Follower:
    """One REFER until its target has answered or not."""

    def __init__(self, user_agent: UserAgent, leg: Leg, event: sip.ReferRequested) -> None:
        self._user_agent = user_agent
        self._leg = leg
        self._event = event
        self._referrer = leg.session
        self._media = leg.media.sibling()
        self.session = ""

    def start(self, gate: Gate) -> bool:
        """Accept and call, or refuse with 603; whether a session of ours is under way now."""
        leg, event, agent = self._leg, self._event, self._user_agent
        target = event.refer_to.uri
        detour = gate(target.without_headers())
        if detour is None or leg.request is None or leg.state != "answered":
            leg.reject_refer(603)
            return False
        headers = [(name, value) for name in CARRIED if (value := target.header(name)) is not None]
        if event.referred_by is not None:
            headers.append(("Referred-By", str(event.referred_by)))  # RFC 3892 §2.3
        me = Address(leg.request.to.uri)
        try:
            headers += agent.onward(detour.target, leg)
            offer = self._media.new_offer(leg.jack.port)
            self.session = agent.shell.run(
                lambda core, now: core.invite(
                    detour.target,
                    from_=me,
                    headers=headers,
                    body=offer,
                    next_hop=detour.next_hop,
                    credentials=detour.credentials,
                    redirect=gate,
                    now=now,
                )
            )
        except (SipError, DialRefusedError) as error:
            log.warning("refer_refused", call_id=leg.call_id, rule=str(error))
            leg.reject_refer(603)
            return False
        leg.accept_refer()
        return True

    def heard(self, event: sip.Event) -> bool:
        """One event of the new session; False once there is nothing more to wait for."""
        match event:
            case sip.Progress(status=status, reason=reason):
                self._report(status, reason, final=False)
                return True
            case sip.Answered(response=response, body=body):
                self._answered(response.status, response.reason, body)
                return False
            case sip.Failed(status=status, reason=reason):
                self._report(status, reason, final=True)
                return False
            case sip.Ended():
                return False
            case _:
                return True

    def _answered(self, status: int, reason: str, body: bytes) -> None:
        leg, agent = self._leg, self._user_agent
        try:
            self._media.take_answer(body)
            if leg.over or leg.session != self._referrer or not self._media.agreed:
                raise MediaNegotiationError("the call has ended, or nothing was agreed on")
        except MediaNegotiationError:
            self._report(503, "", final=True)
            end = Reason("Q.850", 31, "Referred call not needed")
            agent.shell.run(lambda core, now: core.hangup(self.session, [("Reason", str(end))], now=now))
            return
        agent.rename(leg, self.session)
        leg.go_on(self._media)
        agent.sink(Noted(leg.call_id, "leg.referred", leg.name, {"to": str(self._event.refer_to.uri)}))
        self._report(status, reason, final=True)
        # The referrer hangs up by itself, as RFC 5589 §6.1 has it; where it does not, we do.
        agent.hang_up_later(self._referrer)

    def _report(self, status: int, reason: str, *, final: bool) -> None:
        def command(core: object, now: float) -> None:
            self._user_agent.shell.endpoint.notify_refer(self._referrer, status, reason, final, now=now)

        try:
            self._user_agent.shell.run(command)
        except SipError:
            return  # the referrer is gone, and nobody waits for the report
