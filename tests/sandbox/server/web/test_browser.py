"""The UI in a real browser that reaches nothing but this machine."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.sandbox.server.web.browser import CHROMIUM, chromium

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt install chromium)")

BLANK = 20_000
"""Bytes of a picture with nothing on it, at most."""


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[str, str, str]]:
    """`sandbox serve --web`: the gateway's address, the browser's, and the token."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox", "serve", "--port", "0", "--web", "--web-port", "0",
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "SANDBOX_DATA_DIR": str(folder), "SANDBOX_MOCK__PACE": "instant"},
    )  # fmt: skip
    assert process.stderr is not None
    said = ""
    try:
        while "in a browser" not in said:
            line = (await asyncio.wait_for(process.stderr.readline(), 60)).decode()
            assert line, said
            said += line
        gateway = re.search(r"gateway on (\S+):", said)
        browser = re.search(r"in a browser: (\S+)/\?token=(\S+)", said)
        assert gateway is not None
        assert browser is not None
        yield gateway[1], browser[1], browser[2]
    finally:
        process.terminate()
        await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0


async def test_the_ui_is_used_in_a_browser_and_asks_for_nothing_elsewhere(tmp_path: Path) -> None:
    async with served(tmp_path / "data") as (gateway, url, token), chromium(tmp_path / "profile") as browser:
        await browser.do("Emulation.setFocusEmulationEnabled", enabled=True)
        await browser.do("Page.navigate", url=f"{url}/?token={token}")
        await browser.until("document.body.classList.contains('-first-byte')")
        # The token is gone from the address, and no script can read the session.
        assert await browser.value("location.href") == f"{url}/"
        assert await browser.value("document.cookie") == ""
        await browser.value("document.querySelector('textarea').focus()")
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(headers=headers) as http:

            async def calls() -> int:
                async with http.get(f"{gateway}/api/admin/metrics") as answer:
                    return int((await answer.json())["overview"]["total_calls"])

            for _ in range(100):
                # The screen may not be ready for keys when its first bytes are.
                await browser.press("Enter", 13, "\r")
                await asyncio.sleep(0.2)
                if await calls():
                    break
            assert await calls()
        await asyncio.sleep(0.5)
        assert len(await browser.screenshot(tmp_path / "screen.png")) > BLANK
        elsewhere = [one for one in browser.asked if not re.match(r"(http|ws)://127\.0\.0\.1:|data:|blob:", one)]
        assert not elsewhere
        assert not browser.failed
