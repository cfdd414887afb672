"""Every `curl` of the document that the admin API grew out of, run as it stands but for its host and its token."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
from typing import Any

import pytest

from tests.sandbox.compat.snippets import document, needs_seeds
from tests.sandbox.server.admin.support import ADMIN_KEY, CALLERS, administered
from tests.sandbox.server.gateway.support import Rig

HOST = "https://your-domain.com"
ANSWERS = {
    "/api/admin/backend/switch": {"success", "backend", "message"},
    "/api/admin/costs": {"anthropic", "vllm", "total", "budget_limit", "remaining", "budget_used_percent"},
    "/api/admin/budget": {"budget_limit"},
    "/api/admin/metrics": {"overview", "by_backend", "by_model", "recent_calls"},
    "/api/admin/backend/vllm/endpoint": {"endpoint"},
    "/api/admin/backend/health": {"anthropic", "vllm"},
    "/api/admin/backend/health/anthropic": {"healthy", "reachable", "authenticated", "fast_enough"},
}
"""What each must tell."""


def commands() -> list[list[str]]:
    blocks = re.findall(r"```bash\n(.*?)```", document("002"), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.startswith("curl ")]


async def by_curl(rig: Rig, command: list[str]) -> tuple[int, Any]:
    process = await asyncio.create_subprocess_exec(
        *command, "-sS", "-w", "\n%{http_code}", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    body, _, status = out.decode().rpartition("\n")
    return int(status), json.loads(body)


async def by_hand(rig: Rig, command: list[str]) -> tuple[int, Any]:
    """What the same command sends, on a machine without the program."""
    method, headers, body, url = "GET", {}, None, ""
    words = iter(command[1:])
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(words).encode()
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        else:
            url = word
    answer = await rig.ask(url.removeprefix(rig.server.url), body, method=method, headers=headers)
    return answer.status, answer.json


@needs_seeds
async def test_every_command_works_with_host_and_token_changed(tmp_path):
    run = by_curl if shutil.which("curl") else by_hand
    asked = set()
    async with administered(tmp_path, **CALLERS) as rig:
        for command in commands():
            words = [word.replace(HOST, rig.server.url).replace("<TOKEN>", ADMIN_KEY) for word in command]
            status, told = await run(rig, words)
            [path] = [word.removeprefix(rig.server.url) for word in words if word.startswith(rig.server.url)]
            assert status == 200, (command, told)
            assert set(told) >= ANSWERS[path]
            assert told.get("success", True) is True
            asked.add(path)
    assert asked == set(ANSWERS)


@needs_seeds
@pytest.mark.parametrize("token", ["", "<TOKEN>"])
async def test_none_of_them_works_without_a_token(tmp_path, token):
    async with administered(tmp_path, **CALLERS) as rig:
        for command in commands():
            words = [word.replace(HOST, rig.server.url).replace("<TOKEN>", token) for word in command]
            status, told = await by_hand(rig, words)
            assert (status, set(told)) == (401, {"error"})
