"""From a request's headers to a caller: who it is, and what that allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from providers.clock import Clock
from providers.errors import AuthenticationError, PermissionDeniedError
from sandbox.access import keys, tokens
from sandbox.access.kept import KeptKeys
from sandbox.settings.fields import plain
from sandbox.settings.serving import HashedKey, ServerSettings

MAX_CREDENTIAL = 8192
"""Characters of one that are looked at."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who has shown who he is."""

    name: str
    """`key:NAME` or `token:SUBJECT`: what the audit log says, and whose requests are counted together."""
    scopes: frozenset[str]


class Access:
    """What the settings say of callers. `extra`: keys that hold beside them, for as long as this lives."""

    def __init__(self, settings: ServerSettings, *, clock: Clock, extra: tuple[HashedKey, ...] = ()) -> None:
        self._kept = KeptKeys(settings)
        self._extra = extra
        self._secret = plain(settings.jwt_secret)
        self._audience = settings.audience
        self._clock = clock

    @property
    def _keys(self) -> tuple[HashedKey, ...]:
        return (*self._kept.now(), *self._extra)

    @property
    def configured(self) -> bool:
        """Whether there is anything by which a caller can be known."""
        return bool(self._keys) or self._secret is not None

    @property
    def has_admin(self) -> bool:
        """Whether somebody may administer."""
        return self._secret is not None or any("admin" in one.scopes for one in self._keys)

    def caller(self, headers: Mapping[str, str]) -> Caller | None:
        """Who asks; None where no credential was shown. Raises AuthenticationError for one that is none here."""
        credential = shown(headers)
        return None if credential is None else self.recognised(credential)

    def recognised(self, credential: str) -> Caller:
        """Raises AuthenticationError, which holds no part of the credential."""
        if len(credential) > MAX_CREDENTIAL:
            raise AuthenticationError("the key is too long to be one", status=401)
        if self._secret is not None and tokens.looks_like_one(credential):
            try:
                subject, role = tokens.verified(credential, self._secret, audience=self._audience, clock=self._clock)
            except tokens.TokenRefused as error:
                raise AuthenticationError(str(error), status=401) from None
            return Caller(f"token:{subject}", tokens.ROLES[role])
        found = keys.find(self._keys, credential)
        if found is None:
            raise AuthenticationError("the key is not known here", status=401)
        return Caller(f"key:{found.name}", found.scopes)

    def required(self, headers: Mapping[str, str], *scopes: str) -> Caller:
        """The caller, if one of the scopes is his.

        Raises AuthenticationError where it is not known who asks, PermissionDeniedError where he may not.
        """
        caller = self.caller(headers)
        wanted = " or ".join(scopes)
        if caller is None:
            raise AuthenticationError(
                f"this needs a key or token with scope {wanted}: send it as `Authorization: Bearer …`", status=401
            )
        if caller.scopes.isdisjoint(scopes):
            raise PermissionDeniedError(f"{caller.name} does not have the scope {wanted}", status=403)
        return caller


def shown(headers: Mapping[str, str]) -> str | None:
    """The credential in any of the places where the vendors' clients put theirs."""
    authorization = headers.get("Authorization")
    if authorization is not None:
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return value.strip() or None
    return headers.get("x-api-key") or headers.get("api-key") or None
