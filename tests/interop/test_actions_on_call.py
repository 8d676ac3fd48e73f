"""One call with everything an agent's actions can do, over real SIP, real HTTP and a local model server.

The inbound webhook chooses the agent; an action runs before the call and fills the prompt; the model runs another one
during it; a transfer waits for a third, whose result is its destination and a header, while the model writes another
header and the briefing; extractors and one more action run after the call.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from cordboard.calls.events import CallOpened, Spoken
from cordboard.conversation.call_actions import ActionExecuted
from cordboard.lab.people import Behaviour, Person, Seen
from cordboard.sip.address import Address
from cordboard.sip.uri import Uri
from cordboard.transfer.ports import TransferNews
from tests.support.house import House, directory_of, house, lab_person
from tests.support.http_server import Exchange, HttpServer, http_server
from tests.support.openai_server import Answer, Call, OpenAiServer, openai_server

SUMMARY = "whisper: Jane has a wrong invoice."

DIRECTORY = """
agents:
  - model_id: door
    name: Door
    phone_numbers: [+15550100]
    greeting_message: door
    inbound_call_webhook_url: {http}/hook
  - model_id: vip
    name: VIP
    greeting_message: "hello {{mood}} {{results.data.tier}}"
    prompt: "The caller is {{X-Customer-Name}}, tier {{results.tier_of.data.tier}}, in a {{mood}} mood."
    actions:
      - type: CUSTOM_ACTION
        action_id: tier_of
        name: tier of
        http_mode: POST
        url: {http}/before
        run_action_before_call_start: true
        json_body_stringified: '{{"account_id": "{{X-Account-ID}}"}}'
      - type: CUSTOM_ACTION
        action_id: lookup
        name: Look up order
        instructions: The caller asks about an order.
        http_mode: POST
        url: {http}/lookup
        json_body_stringified: '{{"order": <number>, "call": "{{call_id}}"}}'
        variables_during_the_call:
          - {{name: number, type: int, example: "7"}}
        message_before_action_starts: let me look
      - action_id: on_call
        type: CUSTOM_ACTION
        name: on call
        url: "{http}/on-call?tier={{results.tier_of.data.tier}}"
        attachment_type: before
      - type: LIVE_TRANSFER
        action_id: person
        name: person
        instructions: The caller wants a person.
        key: 0
        transfer_mode: warm_transfer_with_context
        dynamic: "sip:p@127.0.0.1:{{results.on_call.port}}"
        run_before: [on_call]
        initiating_msg: wait
        summarization_prompt: One sentence.
        message_to_transfer_target: whisper template
        sip_headers:
          - {{name: X-Queue, value: "{{results.on_call.queue}}"}}
          - {{name: X-Intent, extractor: {{prompt: "What {{X-Customer-Name}} wants.", default: unknown}}}}
          - {{name: X-Account-ID, value: "{{X-Account-ID}}"}}
      - type: INFORMATION_EXTRACTOR
        action_id: happy
        name: happy
        kind: YES_NO
        identifier: happy
        description: Was the caller content?
      - type: CUSTOM_ACTION
        action_id: report
        name: report
        http_mode: POST
        url: {http}/after
        attachment_type: after
        json_body_stringified: '{{"happy": {{happy}}}}'
gateways:
  - name: lab
    host: 127.0.0.1
"""


def _model(request: dict[str, Any]) -> Answer | str:
    last = request["messages"][-1]
    if "response_format" in request:
        name = request["response_format"]["json_schema"]["name"]
        return '{"value": "wrong invoice"}' if name == "HeaderValue" else '{"known": true, "answer": true}'
    if "How to brief" in last["content"]:
        return SUMMARY
    if last["role"] == "tool":
        return f"found {last['content']}"
    if "order" in last["content"]:
        return Answer(calls=(Call("Look_up_order", {"number": 42}), Call("Look_up_order", {"number": 42}, "call_2")))
    return Answer("all right", (Call("person"),))


class _Crm:
    def __init__(self) -> None:
        self.port = 0

    async def __call__(self, exchange: Exchange) -> None:
        path = exchange.seen.target.partition("?")[0]
        answers: dict[str, object] = {
            "/hook": {"call_inbound": {"override_model_id": "vip", "custom_variables": {"mood": "good"}}},
            "/before": {"data": {"tier": "gold"}},
            "/lookup": {"status": "shipped"},
            "/on-call": {"port": self.port, "queue": "billing"},
            "/after": {},
        }
        await exchange.answer(200, answers[path])


class _Ran:
    def __init__(self, h: House, crm: HttpServer, model: OpenAiServer | None, person: Person, call: Seen) -> None:
        self.h, self.crm, self.model, self.person, self.call = h, crm, model, person, call
        self.record: dict[str, Any] = {}

    def asked(self, path: str) -> Any:
        """The bodies that an endpoint got."""
        return [each.json() for each in self.crm.seen if each.target == path]

    @property
    def said(self) -> list[str]:
        return [each.text for each in self.h.of(Spoken) if each.speaker == "bot"]

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.person.calls[0].invite_headers)


async def _run(folder: Path, *, with_model: bool) -> _Ran:
    crm = _Crm()
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(http_server(crm))
        model = await stack.enter_async_context(openai_server(respond=_model)) if with_model else None
        human = await stack.enter_async_context(lab_person(folder, Behaviour("human", answers_after=0.1, tone=880)))
        crm.port = human.user_agent.shell.ports[0]
        text = DIRECTORY.format(http=http.url(""))
        changes: dict[str, dict[str, Any]] = {"egress": {"allow": ["127.0.0.0/8"]}}
        if model is not None:
            changes["model"] = {"base_url": model.base_url, "api_key": "sk-secret"}
        assert not [str(each) for each in directory_of(text).warnings if "not carried out" in str(each)]
        escaped = text.replace("{", "{{").replace("}", "}}")
        h = await stack.enter_async_context(house(folder, escaped, person_port=9, **changes))
        caller = await stack.enter_async_context(lab_person(folder / "caller", Behaviour("caller", tone=440)))
        call = caller.call(
            Uri.parse(h.uri),
            from_=Address(Uri.parse("sip:+15550199@127.0.0.1")),
            headers=(("X-Customer-Name", "Jane Doe"), ("X-Account-ID", "ACC-98765")),
        )
        ran = _Ran(h, http, model, human, call)
        opened: CallOpened = (await h.until(lambda: h.of(CallOpened), what="the call"))[0]

        async def typed(text: str) -> None:
            await h.until(lambda: h.server.typed(opened.call_id, text), what=f"an ear for {text}")

        await h.until(lambda: "hello good gold" in ran.said, what="the greeting")
        if with_model:
            await typed("where is my order 42?")
            await h.until(lambda: any("shipped" in each for each in ran.said), what="the answer about the order")
        await typed("I want to speak to a person")
        await h.until(lambda: [n for n in h.of(TransferNews) if n.name == "bridged"], what="the bridge")
        call.leg.hangup()
        await asyncio.wait_for(call.ended.wait(), 10)
        await h.until(lambda: not h.server.live_calls(), what="the end of the call")
        ran.record = await h.record(opened.call_id)
        return ran


def test_everything_that_actions_do_on_one_call(tmp_path: Path) -> None:
    """Issue 5, each seed example: webhook, before, during, results and extractor into headers, dynamic destination."""
    ran = asyncio.run(_run(tmp_path, with_model=True))
    assert ran.model is not None
    assert ran.record["model_id"] == "vip"
    assert ran.asked("/before") == [{"account_id": "ACC-98765"}]
    prompt = ran.model.requests[0]["messages"][0]
    assert prompt == {"role": "system", "content": "The caller is Jane Doe, tier gold, in a good mood."}
    # The model called the tool twice in one turn: it ran once.
    assert ran.asked("/lookup") == [{"order": 42, "call": ran.record["call_id"]}]
    assert "let me look" in ran.said
    assert {
        "X-Queue": "billing",
        "X-Intent": "wrong invoice",
        "X-Account-ID": "ACC-98765",
    }.items() <= ran.headers.items()
    briefs = [each for each in ran.model.requests if "How to brief: One sentence." in str(each["messages"][-1])]
    assert len(briefs) == 1
    assert ran.asked("/after") == [{"happy": True}]
    actions = ran.record["executed_actions"]
    assert actions["person"]["return_value"]["status"] == "transfer-success"
    assert actions["Look up order"]["return_value"] == {"status": 200, "answer": {"status": "shipped"}}
    assert actions["info_extractor_happy"]["return_value"] == {"happy": True}
    assert [each.name for each in ran.h.of(ActionExecuted)].count("on call") == 2
    assert "sk-secret" not in str(ran.h.reports)


def test_the_same_agent_on_the_rules(tmp_path: Path) -> None:
    """Without a model the call goes on: defaults instead of extracted values, the template instead of a summary."""
    ran = asyncio.run(_run(tmp_path, with_model=False))
    assert {"X-Queue": "billing", "X-Intent": "unknown", "X-Account-ID": "ACC-98765"}.items() <= ran.headers.items()
    assert ran.record["executed_actions"]["info_extractor_happy"]["error_message"].startswith("no model")
    assert any("the rules cannot summarise" in each for each in ran.record["warnings"])
    assert ran.record["executed_actions"]["person"]["return_value"]["status"] == "transfer-success"
