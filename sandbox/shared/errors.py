"""What may go wrong between a process and its Redis server. Apart from the client, which takes long to import."""

from __future__ import annotations


class RedisAway(Exception):
    """The server cannot be asked now; the message says why in one sentence."""


class RedisRefused(Exception):
    """The server answered with an error; the message is its own. `code` is its first word, such as OOM."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = message.partition(" ")[0]
