"""The application: which path leads where, and what stands before all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from sandbox.server.bodies import MAX_BODY
from sandbox.server.gateway.endpoint import Endpoint
from sandbox.server.gateway.guard import Door, guard
from sandbox.server.gateway.listing import Listings
from sandbox.server.gateway.service import Service

if TYPE_CHECKING:
    from sandbox.runtime import Runtime

SERVICE: Final = web.AppKey("service", Service)
"""Where the application keeps what its endpoints share."""

_POSTS: Final = (
    ("chat.completions", ("/v1/chat/completions", "/chat/completions")),
    ("completions", ("/v1/completions", "/completions")),
    ("responses", ("/v1/responses", "/responses")),
    ("messages", ("/v1/messages",)),
)
_AZURE: Final = (
    ("chat.completions", ("/openai/deployments/{model}/chat/completions", "/openai/v1/chat/completions")),
    ("completions", ("/openai/deployments/{model}/completions",)),
    ("responses", ("/openai/responses", "/openai/v1/responses")),
)
"""What Azure's clients ask for behind their endpoint; a deployment is a model here."""


def gateway_app(
    runtime: Runtime,
    *,
    host: str = "127.0.0.1",
    hosts: Collection[str] = (),
    middlewares: Sequence[Middleware] = (),
    extend: Callable[[web.Application], None] | None = None,
    max_body: int = MAX_BODY,
) -> web.Application:
    """The endpoints over a runtime. `host`, `hosts`: the names by which the server is reached.

    `middlewares` stand behind the door and before every endpoint; answers are written while they are made, so that a
    middleware can refuse a request but not change the headers of an answer. `extend` adds paths.
    """
    service = Service(runtime)
    server = runtime.settings.server
    door = Door(host, (*hosts, *server.hosts), server.cors_origins)
    app = web.Application(middlewares=[guard(service, door), *middlewares], client_max_size=max_body)
    app[SERVICE] = service
    listings = Listings(service)
    for api, paths in (*_POSTS, *_AZURE):
        endpoint = Endpoint(api, service)
        for path in paths:
            app.router.add_post(path, endpoint.handle, expect_handler=later)
    app.router.add_post("/v1/messages/count_tokens", listings.count_tokens, expect_handler=later)
    for prefix in ("/v1/models", "/models", "/openai/v1/models"):
        app.router.add_get(prefix, listings.models)
        app.router.add_get(prefix + "/{model:.+}", listings.model)
    app.router.add_get("/healthz", listings.health)
    if extend is not None:
        extend(app)
    return app


async def later(request: web.Request) -> None:
    """Who asks before it sends its body is told to go on when its headers have been looked at."""
