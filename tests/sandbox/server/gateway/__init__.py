"""The gateway as a server."""
