"""The gateway as a server: OpenAI's and Anthropic's endpoints over one Runtime.

`GatewayServer(runtime)` starts and stops it; `gateway_app(runtime)` is its aiohttp application alone.
"""

from sandbox.server.gateway.app import gateway_app
from sandbox.server.gateway.server import GatewayServer

__all__ = ["GatewayServer", "gateway_app"]
