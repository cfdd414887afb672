"""Where AWS credentials come from, how they are renewed, and what is said when there are none."""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.credentials import RefreshableCredentials

from providers.errors import AuthenticationError
from providers.transports.aws_credentials import AwsCredentials, find_credentials, open_session, unlogged

FILES = """
[default]
aws_access_key_id = AKIDDEFAULT
aws_secret_access_key = default-secret

[work]
aws_access_key_id = AKIDWORK
aws_secret_access_key = work-secret
aws_session_token = work-token

[half]
aws_access_key_id = AKIDHALF

[helper]
credential_process = /bin/sh -c "echo canary-in-stderr >&2; exit 3"
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "credentials"
    path.write_text(FILES)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return path


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "env-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "env-token")


def found(**options: str) -> tuple[str | None, str | None, str | None]:
    credentials = find_credentials(open_session(**options))
    assert credentials is not None
    current = credentials.renewed()
    assert credentials.secrets == tuple(filter(None, (current.secret_key, current.token)))
    return current.access_key, current.secret_key, current.token


def test_given_keys_go_before_everything(files, environment):
    given = found(access_key_id="AKIDGIVEN", secret_access_key="given-secret", session_token="given-token")
    assert given == ("AKIDGIVEN", "given-secret", "given-token")


def test_a_given_profile_goes_before_the_environment(files, environment):
    assert found(profile="work") == ("AKIDWORK", "work-secret", "work-token")


def test_the_environment_goes_before_the_files(files, environment):
    assert found() == ("AKIDENV", "env-secret", "env-token")


def test_the_files_have_a_default(files, monkeypatch):
    assert found() == ("AKIDDEFAULT", "default-secret", None)
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert found() == ("AKIDWORK", "work-secret", "work-token")


def test_nothing_is_found_where_there_is_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    assert find_credentials(open_session()) is None


@pytest.mark.parametrize("way", ["given", "environment"])
def test_a_profile_that_there_is_not_is_named_with_those_that_there_are(files, monkeypatch, way):
    if way == "environment":
        monkeypatch.setenv("AWS_PROFILE", "wrok")
    with pytest.raises(AuthenticationError, match=r"no AWS profile 'wrok'; the AWS files have .*work") as caught:
        open_session(profile="wrok" if way == "given" else None)
    assert caught.value.__context__ is None


def test_a_key_without_its_secret_is_told(files):
    with pytest.raises(AuthenticationError, match="cannot be used: Partial credentials found in shared-credentials"):
        find_credentials(open_session(profile="half"))


def test_a_file_that_is_none_is_told(tmp_path, monkeypatch):
    (tmp_path / "config").write_text("not an ini file")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(AuthenticationError, match="the AWS files cannot be read: Unable to parse config file"):
        open_session()


def test_what_a_helper_program_prints_is_not_repeated(files, capfd):
    with pytest.raises(AuthenticationError, match="CredentialRetrievalError") as caught:
        find_credentials(open_session(profile="helper"))
    assert "canary" not in repr(vars(caught.value)) + str(caught.value)
    assert caught.value.__context__ is None


# --- renewal --------------------------------------------------------------------------------------------------------


class Service:
    """Hands out credentials that last a while, as SSO or a role does."""

    def __init__(self, *lifetimes: timedelta) -> None:
        self._lifetimes = list(lifetimes)
        self.threads: list[str] = []
        self.fails = False

    def __call__(self) -> dict[str, str]:
        self.threads.append(threading.current_thread().name)
        if self.fails:
            raise RuntimeError("canary-words of a credential service")
        turn = len(self.threads)
        end = datetime.now(UTC) + self._lifetimes.pop(0)
        return {"access_key": f"AKID{turn}", "secret_key": f"secret-{turn}", "token": f"token-{turn}",
                "expiry_time": end.isoformat()}  # fmt: skip

    def credentials(self) -> AwsCredentials:
        return AwsCredentials(RefreshableCredentials.create_from_metadata(self(), self, "test"))


HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


async def test_what_lasts_is_not_renewed():
    service = Service(HOUR)
    credentials = service.credentials()
    for _ in range(3):
        assert (await credentials.current()).token == "token-1"
    assert len(service.threads) == 1


async def test_what_expires_is_renewed_off_the_loop():
    service = Service(MINUTE, MINUTE, HOUR)
    credentials = service.credentials()
    assert (await credentials.current()).token == "token-2"
    assert (await credentials.current()).token == "token-3"
    assert (await credentials.current()).token == "token-3"
    assert len(service.threads) == 3
    assert threading.main_thread().name not in service.threads[1:]
    # A late error may still name the ones before.
    assert set(credentials.secrets) == {"secret-2", "token-2", "secret-3", "token-3"}


async def test_many_calls_at_once_renew_once():
    service = Service(MINUTE, HOUR)
    credentials = service.credentials()
    assert {(await one).token for one in asyncio.as_completed([credentials.current() for _ in range(20)])} == {
        "token-2"
    }
    assert len(service.threads) == 2


async def test_what_cannot_be_renewed_is_an_authentication_error_without_the_services_words(caplog):
    service = Service(MINUTE)
    credentials = service.credentials()
    service.fails = True
    with pytest.raises(AuthenticationError, match="the AWS credentials cannot be renewed: RuntimeError") as caught:
        await credentials.current()
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


# --- the log --------------------------------------------------------------------------------------------------------


def test_botocores_account_of_what_it_signs_is_heard_only_by_who_signs_himself(caplog):
    caplog.set_level(logging.DEBUG)
    log = logging.getLogger("botocore.auth")
    with unlogged():
        log.debug("canary-1")
        log.warning("a warning")
        with unlogged():
            pass
        log.debug("canary-2")
    log.debug("another program's")
    assert [record.message for record in caplog.records] == ["a warning", "another program's"]
