"""`sandbox admin`: keys and tokens of those who may use or administer a served gateway."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from providers.clock import SYSTEM_CLOCK, iso
from providers.durations import seconds
from providers.errors import ConfigError, InputError
from providers.hints import did_you_mean
from sandbox.cli.session import Session

if TYPE_CHECKING:
    from sandbox.settings.serving import HashedKey

Scope = Literal["admin", "chat", "metrics"]
DAY_S = 86_400
LONGEST_S = 365 * DAY_S
"""A token cannot be taken back, so that it ends some day."""
_KEYS = ("server", "keys")


def token(
    *,
    role: Literal["admin", "user"] = "admin",
    subject: str = "admin",
    ttl: str = "1h",
    json: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Sign a token (JWT, HS256) with server.jwt_secret. It holds until it ends, on every server with that secret.

    Parameters
    ----------
    role
        admin: the admin API and everything else; user: the vendors' endpoints.
    subject
        Whose token it is, as the audit log names him.
    ttl
        How long it holds, such as 15m, 1h or 7d.
    json
        Print one JSON object.
    """
    from sandbox.access.tokens import mint
    from sandbox.settings.fields import plain

    server = session.settings.server
    secret = plain(server.jwt_secret)
    if secret is None:
        raise ConfigError(
            "server.jwt_secret is not set: give the server and this command the same one, such as "
            "SANDBOX_SERVER__JWT_SECRET=$(openssl rand -hex 32)"
        )
    if not subject.strip() or len(subject) > 200:
        raise InputError("--subject must have 1 to 200 characters")
    lasting = _lasting(ttl)
    signed = mint(secret, subject=subject, role=role, audience=server.audience, seconds=lasting, clock=SYSTEM_CLOCK)
    ends = iso(SYSTEM_CLOCK.time_us() + round(lasting * 1e6))
    if json:
        session.output.json({"token": signed, "role": role, "subject": subject, "expires_at": ends})
        return
    session.output.out.line(signed)
    session.output.note(f"role {role}, until {ends[:19]}Z; send it as `Authorization: Bearer …`", "dim")


def create(
    name: str,
    /,
    *,
    scope: list[Scope] | None = None,
    json: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Make an API key and write its hash into the settings file. The key is printed once, and kept nowhere.

    Parameters
    ----------
    name
        What the key is called, in the audit log too.
    scope
        What it allows: chat (the vendors' endpoints; the default), admin (the admin API), metrics; may be repeated.
    json
        Print one JSON object.
    """
    from sandbox.access.keys import hashed, new_key
    from sandbox.settings.serving import hashed_key

    file, kept = _kept(session)
    if any(one.name == name for one in kept):
        raise InputError(f"there is a key {name!r} already; revoke it first, or choose another name")
    key = new_key()
    made = hashed(name, scope or ["chat"], key)
    try:
        hashed_key(made.line)
    except ValueError:
        raise InputError(
            f"NAME is {name!r}; a name has up to 64 letters, digits, '.', '_' and '-', and begins with none of these"
        ) from None
    _write(file, [*kept, made])
    scopes = sorted(made.scopes)
    if json:
        session.output.json({"name": name, "scopes": scopes, "key": key, "config_file": str(file)})
        return
    session.output.out.line(key)
    session.output.note(f"scope {', '.join(scopes)}; it is shown this once. Its hash is in {file}", "dim")
    _tell_what_wins(session)


def list_(*, json: bool = False, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """The API keys by name and scope, wherever they are set. The keys themselves are kept nowhere.

    Parameters
    ----------
    json
        Print {"items": […]}.
    """
    from sandbox.settings.serving import hashed_key

    found = [hashed_key(line) for line in session.settings.server.keys]
    if json:
        items: list[dict[str, Any]] = [{"name": one.name, "scopes": sorted(one.scopes)} for one in found]
        session.output.json({"items": items})
    elif found:
        session.output.table([(one.name, ", ".join(sorted(one.scopes))) for one in found], ("key", "scopes"))
    else:
        session.output.note("there is no key; `sandbox admin key create NAME` makes one")


def revoke(name: str, /, *, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """Take an API key out of the settings file. A server that runs knows it no more either, from then on.

    Parameters
    ----------
    name
        What the key is called.
    """
    file, kept = _kept(session)
    left = [one for one in kept if one.name != name]
    if len(left) == len(kept):
        hint = did_you_mean(name, [one.name for one in kept])
        raise InputError(f"there is no key {name!r} in {file}: {hint}`sandbox admin key list` lists them")
    _write(file, left)
    session.output.out.line(f"{name} is no key any more")
    session.output.note("servers that run with these settings know it no more", "dim")
    _tell_what_wins(session)


# --- the settings file ------------------------------------------------------------------------------------------------


def _kept(session: Session) -> tuple[Path, list[HashedKey]]:
    """The settings file, and the keys that stand in it. Raises ConfigError for a file that is wrong."""
    from sandbox.settings.sources import keys_in

    # A file that is wrong elsewhere is told before it is changed.
    file = session.loaded.config_file
    return file, keys_in(file)


def _write(file: Path, keys: list[HashedKey]) -> None:
    from sandbox.settings.editing import put

    lines = ", ".join(f'"{one.line}"' for one in keys)
    put(file, _KEYS, f"[{lines}]" if keys else None)


def _tell_what_wins(session: Session) -> None:
    for origin in session.loaded.over_the_file(".".join(_KEYS)):
        session.output.note(f"{origin} is set too, and wins over the file", "yellow")


def _lasting(text: str) -> float:
    """Seconds of a duration. Raises InputError."""
    try:
        lasting = float(seconds(text))
    except (TypeError, ValueError):
        lasting = 0.0
    if not 1 <= lasting <= LONGEST_S:
        raise InputError(f"--ttl is {text!r}; write a time from 1s to 365d, such as 15m, 1h or 7d")
    return lasting
