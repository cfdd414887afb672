"""The vendors' fakes on loopback: any program with its own vendor SDK can be pointed at them and run offline.

`async with Wiretap() as tap: tap.url` serves every vendor under its prefix: `/openai/v1`, `/anthropic`, `/bedrock`, ….
"""

from sandbox.server.wiretap.tap import Wiretap

__all__ = ["Wiretap"]
