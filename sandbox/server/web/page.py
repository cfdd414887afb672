"""The pages: the terminal, made of the library's own page without what it would fetch elsewhere, and the way in."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Final

POLICY: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing comes from another site, goes to one, or shows this one in a frame."""
HEADERS: Final = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_ELSEWHERE: Final = re.compile(r"<link\b[^>]*\bhref\s*=\s*[\"'](?:https?:)?//[^>]*>", re.IGNORECASE)
_FONT: Final = """<style>
@font-face { font-family: "Roboto Mono"; font-weight: 100 700; font-style: normal;
  src: url("/static/fonts/RobotoMono-VariableFont_wght.ttf") format("truetype"); }
@font-face { font-family: "Roboto Mono"; font-weight: 100 700; font-style: italic;
  src: url("/static/fonts/RobotoMono-Italic-VariableFont_wght.ttf") format("truetype"); }
</style>
"""
_SOCKET: Final = """<script>
document.querySelectorAll("[data-session-websocket-url]").forEach((one) => {
  const url = new URL("/ws", window.location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  one.dataset.sessionWebsocketUrl = url.href;
});
</script>
"""
"""The page alone knows whether it came over TLS: a proxy ends that before this server."""
_LOGIN: Final = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>sandbox</title>
<meta name="viewport" content="width=device-width"><style>
body {{ background: #121212; color: #e0e0e0; font: 16px/1.5 monospace; display: grid; place-items: center;
  min-height: 100vh; margin: 0; }}
form {{ max-width: 34rem; padding: 1rem; }}
input, button {{ font: inherit; padding: .4rem .6rem; }}
input {{ width: 100%; box-sizing: border-box; margin: .5rem 0; }}
.wrong {{ color: #ff8a80; }}
</style></head><body><form method="post" action="/login">
<h1>sandbox</h1>{problem}
<label for="token">The admin token that <code>sandbox serve</code> said when it started,
or a key or token with scope admin:</label>
<input id="token" name="token" type="password" autocomplete="off" autofocus required>
<button>Watch</button></form></body></html>
"""


def terminal_template(templates: Path) -> str:
    """The library's page with every sheet of another site taken out, and its font taken from the library's folder."""
    text = (templates / "app_index.html").read_text("utf-8")
    text = _ELSEWHERE.sub("", text).replace("</head>", _FONT + "</head>", 1)
    return text.replace("</body>", _SOCKET + "</body>", 1)


def login(problem: str = "") -> str:
    """The page that asks for a token; `problem`: why the last one did not do."""
    said = f'<p class="wrong">{html.escape(problem)}</p>' if problem else ""
    return _LOGIN.format(problem=said)
