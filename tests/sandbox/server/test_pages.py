"""Pages in a browser, which asks before it lets them ask."""

from __future__ import annotations

import pytest

from tests.sandbox.server.support import CHAT, chat, put, tapped

LOCAL = ["http://localhost:3000", "http://127.0.0.1", "https://[::1]:8443"]
FOREIGN = ["https://evil.example", "null", "http://localhost.evil.example", "file://"]
ASKING = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}


@pytest.mark.parametrize("origin", LOCAL)
async def test_a_page_of_this_machine_may_ask(origin: str) -> None:
    async with tapped() as rig:
        before = await rig.ask(CHAT, method="OPTIONS", headers={"Origin": origin, **ASKING})
        answer = await rig.ask(CHAT, chat(), headers={"Origin": origin})
        stream = await rig.ask(CHAT, chat(stream=True), headers={"Origin": origin})
        refused = await rig.ask(CHAT, chat(), headers={"Origin": origin, "x-wiretap-fault": "503"})
        asked, *_ = await rig.journal()
    assert (before.status, before.body) == (204, b"")
    assert before.headers["access-control-allow-methods"] == "POST"
    assert before.headers["access-control-allow-headers"] == "authorization,content-type"
    assert [each.status for each in (answer, stream, refused)] == [200, 200, 503]
    for each in (before, answer, stream, refused):
        assert each.headers["access-control-allow-origin"] == origin
    assert (asked["method"], asked["status"], asked["hint"]) == ("OPTIONS", 204, None)


@pytest.mark.parametrize("origin", FOREIGN)
async def test_a_page_of_another_site_may_not(origin: str) -> None:
    async with tapped() as rig:
        before = await rig.ask(CHAT, method="OPTIONS", headers={"Origin": origin, **ASKING})
        answer = await rig.ask(CHAT, chat(), headers={"Origin": origin})
    assert before.status == 405
    assert not [name for each in (before, answer) for name in each.headers if name.startswith("access-control-")]


async def test_a_page_of_this_machine_may_break_a_vendor() -> None:
    asking = {"Origin": LOCAL[0], **ASKING}
    async with tapped() as rig:
        before = await rig.ask("/__wiretap/faults", method="OPTIONS", headers=asking)
        other = await rig.ask("/__wiretap/faults", method="OPTIONS", headers={**asking, "Origin": FOREIGN[0]})
    assert (before.status, before.headers["access-control-allow-methods"]) == (204, "GET, POST")
    assert other.status == 403


async def test_a_page_that_asks_for_what_is_not_there_is_told() -> None:
    async with tapped() as rig:
        answer = await rig.ask("/openai/v1/chat", method="OPTIONS", headers={"Origin": LOCAL[0], **ASKING})
        (entry,) = await rig.journal()
    assert answer.status == 404
    assert "did you mean /openai/v1/chat/completions?" in entry["hint"]


async def test_what_was_recorded_for_one_page_is_no_leave_for_another(tmp_path) -> None:
    headers = {"content-type": "application/json", "access-control-allow-origin": "https://elsewhere.example"}
    put(
        tmp_path, "openai/case", api="chat.completions", request={"body": chat()},
        response={"status": 200, "headers": headers, "body": "{}"},
    )  # fmt: skip
    async with tapped(tmp_path) as rig:
        page = await rig.ask(CHAT, chat(), headers={"Origin": LOCAL[0]})
        program = await rig.ask(CHAT, chat())
    assert page.headers["access-control-allow-origin"] == LOCAL[0]
    assert program.headers["access-control-allow-origin"] == "https://elsewhere.example"
