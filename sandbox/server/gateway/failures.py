"""Which status and which words a failed request gets, in the format of whoever asked."""

from __future__ import annotations

import logging
from typing import Final

from providers import errors as e
from providers.dialects.base import Dialect, WireError

logger: Final = logging.getLogger(__name__)

STATUSES: Final[dict[type[e.ProviderError], int]] = {
    # The vendors' formats say 408, which means that the caller was too slow.
    e.ProviderTimeoutError: 504,
}
"""Where a gateway's status differs from a vendor's. The vendors' forms have the rest (see each dialect's `errors`): 429
for rate limits and budgets and 503 for open breakers, with Retry-After; 502 for what came of the providers together."""


class Ended(Exception):
    """The server itself ended a request, with this error for its caller."""

    def __init__(self, error: e.ProviderError) -> None:
        super().__init__(error.message)
        self.error = error


def told(error: BaseException, ident: str) -> e.ProviderError:
    """What the caller is told of a failure."""
    if isinstance(error, Ended):
        return error.error
    if isinstance(error, e.ProviderError):
        return error
    if isinstance(error, e.InputError):
        # A model, provider or recording that is not here.
        return e.ModelNotFoundError(str(error), status=404)
    if isinstance(error, RecursionError):
        return e.InvalidRequestError("the request is nested too deep")
    logger.error("request %s could not be answered", ident, exc_info=error)
    return e.ServiceUnavailableError(f"internal error; the log tells more about request {ident}", status=500)


def on_wire(dialect: Dialect, error: e.ProviderError, ident: str) -> WireError:
    """The whole answer: status, headers and body. The request's id is this program's, not a vendor's."""
    error.request_id = ident
    wire = dialect.encode_error(error)
    status = STATUSES.get(type(error))
    return wire if status is None else wire._replace(status=status)
