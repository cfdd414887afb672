"""AWS credentials as boto3 finds them: given ones, else environment, profile, SSO, container, instance.

Looking for them and renewing them reads files and may ask a server, so both belong in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError, ProfileNotFound
from botocore.session import Session

from providers.errors import AuthenticationError

LONGEST_REASON = 200
"""Characters of AWS's own words that an error repeats."""

_LOQUACIOUS = ("botocore.auth", "botocore.endpoint", "botocore.parsers")
"""Loggers that spell out signatures, tokens and the answers of credential services when someone listens closely."""


class Source(Protocol):
    """The part of botocore's credentials, fixed or renewing themselves, that is used here."""

    def get_frozen_credentials(self) -> ReadOnlyCredentials: ...


class AwsCredentials:
    """Credentials that are renewed when they are about to expire."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._current: ReadOnlyCredentials | None = None
        self.secrets: tuple[str, ...] = ()
        """What no text may hold: the secret key and the token, and those before them, which a late error may name."""

    def renewed(self) -> ReadOnlyCredentials:
        """Credentials for a signature now. May block. Raises AuthenticationError where they cannot be renewed."""
        try:
            with unlogged():
                current = self._source.get_frozen_credentials()
        except Exception as error:
            failure = AuthenticationError(f"the AWS credentials cannot be renewed: {_reason(error)}")
        else:
            if current != self._current:
                self.secrets = (*filter(None, (current.secret_key, current.token)), *self.secrets[:2])
                self._current = current
            return current
        # Raised here and not in the handler: botocore's errors may hold what a credential service said.
        raise failure

    async def current(self) -> ReadOnlyCredentials:
        """`renewed`, in a thread where that may take time."""
        stale = getattr(self._source, "refresh_needed", None)
        if self._current is None or (stale is not None and stale()):
            return await asyncio.to_thread(self.renewed)
        return self._current


def open_session(
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session_token: str | None = None,
    profile: str | None = None,
) -> Session:
    """A session of botocore that signs with the given keys or profile, else with what its chain finds.

    Raises AuthenticationError for a profile that there is not.
    """
    session = Session(profile=profile)
    try:
        # Only asking for something makes it look.
        session.get_scoped_config()
    except ProfileNotFound:
        known = ", ".join(session.available_profiles) or "none"
        failure = AuthenticationError(f"there is no AWS profile {session.profile!r}; the AWS files have {known}")
    except BotoCoreError as error:
        failure = AuthenticationError(f"the AWS files cannot be read: {_reason(error)}")
    else:
        if access_key_id and secret_access_key:
            session.set_credentials(access_key_id, secret_access_key, session_token)
        return session
    raise failure


def find_credentials(session: Session) -> AwsCredentials | None:
    """What the session signs with; None where its chain finds nothing. Blocks, on a machine at AWS for seconds.

    Raises AuthenticationError where something is found that cannot be used, such as a key without its secret.
    """
    try:
        with unlogged():
            source = session.get_credentials()
    except Exception as error:
        failure = AuthenticationError(f"the AWS credentials cannot be used: {_reason(error)}")
    else:
        if source is None:
            return None
        credentials = AwsCredentials(source)
        credentials.renewed()
        return credentials
    raise failure


def _reason(error: Exception) -> str:
    """AWS's own words where they are its library's, else the kind of the error: a helper program may print anything."""
    if isinstance(error, (BotoCoreError, ClientError)) and not isinstance(error, CredentialRetrievalError):
        text = " ".join(str(error).split())
        return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 1] + "…"
    return type(error).__name__


# --- botocore's log -------------------------------------------------------------------------------------------------


class _Unlogged(threading.local):
    now = False


_unlogged = _Unlogged()


@contextmanager
def unlogged() -> Iterator[None]:
    """While it lasts, nothing that botocore does in this thread writes a credential into a log."""
    before = _unlogged.now
    _unlogged.now = True
    try:
        yield
    finally:
        _unlogged.now = before


def _heard(record: logging.LogRecord) -> bool:
    return not _unlogged.now or record.levelno > logging.DEBUG


for _name in _LOQUACIOUS:
    logging.getLogger(_name).addFilter(_heard)
