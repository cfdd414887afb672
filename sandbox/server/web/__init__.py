"""The terminal UI in a browser: each tab is a screen of its own, attached to the gateway that is served."""

from sandbox.server.web.server import WebServer

__all__ = ["WebServer"]
