"""SIPp scenarios written by a test, for peers whose manners differ in a line or two.

A caller's scenario is ``place()`` and what follows; each function gives one step. Words in brackets are SIPp's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

SDP = """v=0
o=sipp 1 {version} IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [rtpstream_audio_port] RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
{more}"""

SOUND = '  <nop><action><exec rtp_stream="sound.raw,-1,0,PCMU/8000"/></action></nop>\n'
"""The caller is heard from here on."""


def sdp(*more: str, version: int = 1) -> str:
    return SDP.format(version=version, more="\n".join(more))


def _message(lines: Sequence[str], body: str, content_type: str) -> str:
    lines = [line for line in lines if line]
    if body:
        lines.append(f"Content-Type: {content_type}")
    return "\n".join([*lines, "Content-Length: [len]", "", body.strip("\n")]) + "\n"


def send(text: str, *, retransmit: bool = False) -> str:
    """One message."""
    again = ' retrans="500"' if retransmit else ""
    return f"  <send{again}><![CDATA[\n\n{text}\n]]></send>\n"


def request(
    method: str,
    cseq: int,
    *headers: str,
    body: str = "",
    content_type: str = "application/sdp",
    uri: str = "sip:[service]@[remote_ip]:[remote_port]",
    contact: str = "<sip:caller@[local_ip]:[local_port]>",
    tagged: bool = True,
) -> str:
    """A request of the caller; ``tagged``: within the dialog."""
    lines = [
        f"{method} {uri} SIP/2.0",
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport",
        'From: "Caller" <sip:+15550199@[local_ip]:[local_port]>;tag=[pid]c[call_number]',
        f"To: <sip:[service]@[remote_ip]:[remote_port]>{'[peer_tag_param]' if tagged else ''}",
        "Call-ID: [call_id]",
        f"CSeq: {cseq} {method}",
        f"Contact: {contact}" if contact and method != "ACK" else "",
        "Max-Forwards: 70",
        *headers,
    ]
    return send(_message(lines, body, content_type), retransmit=method != "ACK")


def response(status: int, reason: str, *headers: str, body: str = "", contact: str = "caller") -> str:
    """The answer to the request that came last."""
    lines = [
        f"SIP/2.0 {status} {reason}",
        "[last_Via:]",
        "[last_From:]",
        "[last_To:]",
        "[last_Call-ID:]",
        "[last_CSeq:]",
        f"Contact: <sip:{contact}@[local_ip]:[local_port]>",
        *headers,
    ]
    return send(_message(lines, body, "application/sdp"))


def receive(what: str | int, *checks: str, optional: bool = False, timeout: int | None = None) -> str:
    """A request by its method, or a response by its status; ``checks`` are regular expressions that it must match."""
    kind = "response" if isinstance(what, int) else "request"
    attributes = f'{kind}="{what}"' + (' optional="true"' if optional else "")
    if timeout is not None:
        attributes += f' timeout="{timeout}"'
    if not checks:
        return f"  <recv {attributes}/>\n"
    actions = "".join(
        f'<ereg regexp="{_escaped(check)}" search_in="msg" check_it="true" assign_to="{number}"/>'
        for number, check in enumerate(checks, 1)
    )
    return f"  <recv {attributes}><action>{actions}</action></recv>\n"


def pause(milliseconds: int) -> str:
    return f'  <pause milliseconds="{milliseconds}"/>\n'


def place(*headers: str, body: str | None = None) -> str:
    """INVITE, ringing, 200, ACK, sound."""
    return (
        request("INVITE", 1, *headers, body=sdp() if body is None else body, tagged=False)
        + receive(100, optional=True)
        + receive(180, optional=True)
        + receive(200)
        + request("ACK", 1)
        + SOUND
    )


def press(key: str, cseq: int = 2) -> str:
    """A key by INFO."""
    signal = f"Signal={key}\nDuration=160\n"
    return request("INFO", cseq, body=signal, content_type="application/dtmf-relay") + receive(200)


def notify(cseq: int, sipfrag: str, state: str, *, event: str = "Event: refer") -> str:
    """A report of the REFER; its 200."""
    return request(
        "NOTIFY",
        cseq,
        event,
        f"Subscription-State: {state}",
        body=sipfrag,
        content_type="message/sipfrag;version=2.0",
    ) + receive(200)


def either(pattern: str, matched: str, otherwise: str) -> str:
    """An INVITE comes: these steps where it matches, those where not. The last steps of a scenario."""
    return (
        '  <recv request="INVITE"><action>'
        f'<ereg regexp="{_escaped(pattern)}" search_in="msg" assign_to="1"/></action></recv>\n'
        f'  <nop next="1" test="1"/>\n{otherwise}  <nop next="2"/>\n  <label id="1"/>\n{matched}  <label id="2"/>\n'
    )


def script(folder: Path, name: str, *steps: str) -> str:
    """Write the scenario and give its path, as `Sipp` takes it."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(steps)
    used = sorted({number for number in range(1, 9) if f'assign_to="{number}"' in text})
    reference = f'  <Reference variables="{",".join(map(str, used))}"/>\n' if used else ""
    path = folder / f"{name}.xml"
    path.write_text(
        f'<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="{name}">\n{text}{reference}</scenario>\n'
    )
    return str(path)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
