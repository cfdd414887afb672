"""The served gateway as it is administered: who may use it and how much, what it tells, and what can be changed.

`AdminServer(runtime)` is the whole server: the gateway's endpoints, the admin API, metrics and the OpenAPI document.
"""

from sandbox.server.admin.server import AdminServer

__all__ = ["AdminServer"]
