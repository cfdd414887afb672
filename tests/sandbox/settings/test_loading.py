from __future__ import annotations

import os
import string
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers.errors import ConfigError
from sandbox.settings import Loaded, load
from sandbox.settings.folders import config_dir, default_config_file, default_data_dir


class Place:
    """A user's configuration, by itself in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.toml"
        self.dotenv = folder / ".env"

    def load(self, environ: dict[str, str] | None = None, **flags: object) -> Loaded:
        return load(
            flags=flags, environ={"SANDBOX_CONFIG_DIR": str(self.folder), **(environ or {})}, folder=self.folder
        )

    def error(self, environ: dict[str, str] | None = None, **flags: object) -> str:
        with pytest.raises(ConfigError) as failure:
            self.load(environ, **flags)
        message = str(failure.value)
        assert "\n" not in message
        return message


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# --- precedence and origin -----------------------------------------------------------------------------------------


def test_the_later_source_wins_and_is_remembered(place: Place) -> None:
    def mode() -> tuple[str, str, str]:
        loaded = place.load(environ, **flags)
        origin = loaded.origin("mode")
        return loaded.settings.mode, origin.source, origin.where

    environ: dict[str, str] = {}
    flags: dict[str, object] = {}
    assert mode() == ("mock", "default", "")
    place.config.write_text("# mine\nmode = 'replay'\n")
    assert mode() == ("replay", "file", f"{place.config}, line 2")
    place.dotenv.write_text("\n\nSANDBOX_MODE=record\n")
    assert mode() == ("record", ".env", f"{place.dotenv}, line 3")
    environ["SANDBOX_MODE"] = "live"
    assert mode() == ("live", "environment", "SANDBOX_MODE")
    flags["mode"] = "mock"
    assert mode() == ("mock", "flag", "--mode")


def test_every_variable_that_other_programs_share(place: Place) -> None:
    loaded = place.load(
        {
            "OPENAI_API_KEY": "k-openai",
            "OPENAI_ORG_ID": "org",
            "OPENAI_BASE_URL": "https://o.example/v1/",
            "ANTHROPIC_API_KEY": "k-anthropic",
            "ANTHROPIC_BASE_URL": "http://127.0.0.1:4010/anthropic",
            "AZURE_OPENAI_API_KEY": "k-azure",
            "AZURE_OPENAI_ENDPOINT": "https://a.example",
            "AZURE_OPENAI_DEPLOYMENT": "dep",
            "DEEPSEEK_API_KEY": "k-deepseek",
            "OLLAMA_BASE_URL": "http://localhost:11434",
            "VLLM_ENDPOINT": "http://10.0.0.5:8000",
            "VLLM_HOURLY_RATE": "0.16",
            "BUDGET_LIMIT": "100.0",
            "AWS_REGION": "eu-west-1",
            "AWS_PROFILE": "work",
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_BEARER_TOKEN_BEDROCK": "k-bedrock",
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://localhost:4010/bedrock",
            "LOG_LEVEL": "info",
        }
    )
    s, p = loaded.settings, loaded.settings.providers
    assert p["openai"].api_key.get_secret_value() == "k-openai"
    assert (p["openai"].organization, p["openai"].base_url) == ("org", "https://o.example/v1")
    assert p["anthropic"].api_key.get_secret_value() == "k-anthropic"
    assert p["anthropic"].base_url == "http://127.0.0.1:4010/anthropic"
    assert p["azure_openai"].api_key.get_secret_value() == "k-azure"
    assert (p["azure_openai"].base_url, p["azure_openai"].deployment) == ("https://a.example", "dep")
    assert p["deepseek"].api_key.get_secret_value() == "k-deepseek"
    assert p["ollama"].base_url == "http://localhost:11434"
    assert (p["vllm"].base_url, p["vllm"].hourly_rate) == ("http://10.0.0.5:8000", Decimal("0.16"))
    assert (s.budget_limit, s.aws.region, s.log_level) == (Decimal(100), "eu-west-1", "INFO")
    assert (s.aws.access_key_id.get_secret_value(), s.aws.profile) == ("id", "work")
    assert p["bedrock"].api_key.get_secret_value() == "k-bedrock"
    assert p["bedrock"].base_url == "http://localhost:4010/bedrock"
    assert loaded.origin("providers.openai.api_key").where == "OPENAI_API_KEY"
    assert set(loaded.secrets) == {"k-openai", "k-anthropic", "k-azure", "k-deepseek", "k-bedrock", "id", "secret"}
    assert "k-openai" not in repr(loaded)
    assert s.mode == "mock", "a key that happens to exist never makes the mode live"


def test_nested_keys_lists_and_one_word_sections_from_the_environment(place: Place) -> None:
    loaded = place.load(
        {
            "SANDBOX_CACHE__TTL": "5m",
            "SANDBOX_CHAIN": "openai, ollama,",
            "SANDBOX_DATA_DIR": "/somewhere",
            "SANDBOX_EQUIVALENTS__LARGE": "a,b",
            "SANDBOX_FAILOVER_ON_CONTENT_FILTER": "true",
            "SANDBOX_PROVIDERS__OPENAI__ENABLED": "no",
            "SANDBOX_USAGE": "sqlite",
        }
    )
    s = loaded.settings
    assert s.cache.ttl == 300
    assert s.chain == ["openai", "ollama"]
    assert s.equivalents == {"large": ["a", "b"]}
    assert s.providers["openai"].enabled is False
    assert s.data_dir == Path("/somewhere")
    assert s.failover_on_content_filter is True
    assert loaded.origin("cache.ttl").where == "SANDBOX_CACHE__TTL"


def test_budgets_by_tenant(place: Place) -> None:
    place.config.write_text("[budgets]\nthresholds = [0.5, 1]\n[budgets.tenants]\nacme = 5.10\n'a.b' = '0.3'\n")
    budgets = place.load().settings.budgets
    assert budgets.tenants == {"acme": Decimal("5.1"), "a.b": Decimal("0.3")}
    assert budgets.thresholds == [Decimal("0.5"), Decimal(1)]
    variables = {"SANDBOX_BUDGETS__TENANTS": "acme = 7, x=y=2", "SANDBOX_BUDGETS__THRESHOLDS": "0.8,0.9"}
    loaded = place.load(variables)
    assert loaded.settings.budgets.tenants == {"acme": 7, "x=y": 2}
    assert loaded.settings.budgets.thresholds == [Decimal("0.8"), Decimal("0.9")]
    assert loaded.origin("budgets.tenants").where == "SANDBOX_BUDGETS__TENANTS"
    for wrong in ("acme", "=5", "acme=much"):
        assert "budgets.tenants" in place.error({"SANDBOX_BUDGETS__TENANTS": wrong})


def test_own_names_win_over_shared_ones_and_empty_means_unset(place: Place) -> None:
    loaded = place.load({"BUDGET_LIMIT": "5", "SANDBOX_BUDGET_LIMIT": "7", "OPENAI_API_KEY": "", "SANDBOX_MODE": ""})
    assert loaded.settings.budget_limit == 7
    assert loaded.settings.providers["openai"].api_key is None
    assert loaded.settings.mode == "mock"
    place.dotenv.write_text("SANDBOX_MODE=\nBUDGET_LIMIT=''\n")
    assert place.load().settings.mode == "mock"
    assert place.load().origins == {}


def test_the_file_in_full(place: Place) -> None:
    place.config.write_text(
        """
        cache = "off"
        prices_file = "prices.toml"
        providers.ollama.enabled = false

        [providers.east]
        kind = "openai"
        base_url = "https://east.example/v1"

        [retry]
        when = "always"
        base_delay = "500ms"

        [equivalents]
        large = ["gpt-4", "claude-3-opus"]
        """
    )
    loaded = place.load({"SANDBOX_PROVIDERS__EAST__PRIORITY": "1"})
    s = loaded.settings
    assert s.cache.backend == "off"
    assert s.prices_file == place.folder / "prices.toml", "a relative path in a file is relative to that file"
    assert s.providers["ollama"].enabled is False
    assert (s.providers["east"].kind, s.providers["east"].priority) == ("openai", 1)
    assert (s.retry.when, s.retry.base_delay, s.retry.retries) == ("always", 0.5, None)
    assert s.equivalents["large"] == ["gpt-4", "claude-3-opus"]


def test_a_byte_order_mark_is_no_mistake(place: Place) -> None:
    place.config.write_bytes(b"\xef\xbb\xbfmode = 'replay'\n")
    assert place.load().settings.mode == "replay"


def test_a_named_file_replaces_the_default_one_and_must_exist(place: Place, tmp_path: Path) -> None:
    place.config.write_text("mode = 'replay'")
    other = tmp_path / "other.toml"
    other.write_text("preset = 'happyos'")
    loaded = load(other, environ={"SANDBOX_CONFIG_DIR": str(tmp_path)}, folder=tmp_path)
    assert (loaded.settings.mode, loaded.settings.preset, loaded.config_file) == ("mock", "happyos", other)
    with pytest.raises(ConfigError, match=r"cannot read .*gone\.toml: no such file"):
        load(tmp_path / "gone.toml", environ={}, folder=tmp_path)
    with pytest.raises(ConfigError, match=r"cannot read .*: is a directory"):
        load(tmp_path, environ={}, folder=tmp_path)


def test_only_the_current_folders_dotenv_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("SANDBOX_MODE=replay\n")
    below = tmp_path / "below"
    below.mkdir()
    environ = {"SANDBOX_CONFIG_DIR": str(tmp_path)}
    monkeypatch.chdir(below)
    assert load(environ=environ).settings.mode == "mock"
    monkeypatch.chdir(tmp_path)
    assert load(environ=environ).settings.mode == "replay"


def test_a_folder_named_dotenv_is_left_alone(place: Place) -> None:
    place.dotenv.mkdir()
    assert place.load().settings.mode == "mock"


def test_other_programs_names_in_dotenv_are_passed_over(place: Place) -> None:
    place.dotenv.write_text("export DATABASE_URL='postgres://x'\nFLAG\nOPENAI_API_KEY=\"k 1\"\n".replace("k 1", "k-1"))
    loaded = place.load()
    assert loaded.settings.providers["openai"].api_key.get_secret_value() == "k-1"
    assert loaded.origin("providers.openai.api_key").where == f"{place.dotenv}, line 3"


def test_loading_leaves_the_environment_as_it_was(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.dotenv.write_text("OPENAI_API_KEY=k-1\n")
    monkeypatch.delenv("PYDANTIC_DISABLE_PLUGINS", raising=False)
    before = dict(os.environ)
    place.load()
    assert dict(os.environ) == before


# --- mistakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "line", "says"),
    [
        ("mdoe = 'mock'", 1, "there is no setting 'mdoe'; did you mean 'mode'?"),
        ("\n[cache]\nttll = 3", 3, "there is no setting 'cache.ttll'; did you mean 'cache.ttl'?"),
        ("ttl = 3", 1, "did you mean 'cache.ttl'?"),
        ("[providers.openai]\n\napi_kye = 'x'", 3, "did you mean 'providers.openai.api_key'?"),
        ("mode = 'mokc'", 1, "mode is 'mokc': use mock, replay, record or live; did you mean 'mock'?"),
        ("a = 1\nmode = ", 2, "not valid TOML"),
        ("[cache]\nttl = -3", 2, "cache.ttl is -3: it should be greater than 0"),
        ("cache = 3", 1, "cache is a table: write [cache]"),
        ("cache = 'reddis'", 1, "cache.backend is 'reddis': use disk, redis or off; did you mean 'redis'?"),
        ("[ui]\nhints = 'perhaps'", 2, "ui.hints is 'perhaps': use true or false"),
        ("[providers.groq]\nbase_url = 'https://g.example'", 2, "provider 'groq' needs `kind`"),
        ("[providers.groq]", 1, "provider 'groq' needs `kind`"),
        ("[providers.openai]\nkind = 'vllm'", 2, "the id openai always means that provider"),
        (
            "[providers.openai]\napi = 'respones'",
            2,
            "providers.openai.api is 'respones': did you mean 'responses'? "
            "use chat.completions or responses or completions",
        ),
        ("[providers.anthropic]\napi = 'responses'", 2, "providers.anthropic.api is 'responses': use messages"),
        ("[providers.groq]\nkind = 'openai'\napi = 'chat'", 3, "use chat.completions or responses or completions"),
        ("[providers.openai]\napi = 7", 2, "providers.openai.api is 7"),
        ("[providers.Mine]\nkind = 'openai'", 1, "'Mine' cannot be a provider's id"),
        ("[providers]\nopenai = 3", 2, "providers.openai is a table"),
        ("[providers.openai]\nbase_url = 'localhost:80'", 2, "an address begins with https:// or http://"),
        ("chain = ['openai', 'antropic']", 1, "'antropic' is no provider: did you mean 'anthropic'?"),
        ("[retry]\nretries = 1.5", 2, "retry.retries is 1.5"),
        ("deadline = inf", 1, "deadline is inf"),
        ("[providers.openai]\napi_key = 17", 2, "providers.openai.api_key has a wrong value"),
        ("budget_limit = -1", 1, "budget_limit is -1: a budget is from 0 to 9,000,000 USD a month"),
        ("budget_limit = 1e300", 1, "budget_limit is 1e+300: a budget is from 0 to 9,000,000 USD a month"),
        ("[budgets.tenants]\nzen = 1\n'a.b' = -5", 1, "budgets.tenants.a.b is -5: a budget is from 0 to 9,000,000"),
        ("[budgets.tenants]\nacme = true", 1, "budgets.tenants.acme is True: a number is expected"),
        ("[budgets]\ntenants = 5", 2, "budgets.tenants is 5: write NAME = NUMBER for each"),
        ("[budgets]\nthresholds = [75]", 2, "a threshold is a share of the limit above 0 up to 1, such as 0.75"),
        ("[budgets]\nlimit = 5", 2, "there is no setting 'budgets.limit'"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(place: Place, toml: str, line: int, says: str) -> None:
    place.config.write_text(toml)
    message = place.error()
    assert message.startswith(f"{place.config}, line {line}: ")
    assert says in message


def test_a_wrong_credential_is_not_repeated(place: Place) -> None:
    place.config.write_text("[providers.openai]\napi_key = 'very secret words'")
    message = place.error()
    assert "secret" not in message
    assert "providers.openai.api_key" in message


def test_a_credential_in_an_address_is_refused_and_not_repeated(place: Place) -> None:
    message = place.error({"VLLM_ENDPOINT": "http://me:letmein@10.0.0.5:8000"})
    assert "VLLM_ENDPOINT: providers.vllm.base_url is" in message
    assert "no user name and no password" in message
    assert "letmein" not in message


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"SANDBOX_MODEE": "live"}, "SANDBOX_MODEE is no setting; did you mean SANDBOX_MODE?"),
        ({"SANDBOX_CACHE__TLT": "3"}, "did you mean SANDBOX_CACHE__TTL?"),
        ({"SANDBOX_PROVIDERS__OPENAI__KEY": "3"}, "did you mean SANDBOX_PROVIDERS__OPENAI__API_KEY?"),
        (
            {"SANDBOX_MODE": "lvie"},
            "SANDBOX_MODE: mode is 'lvie': use mock, replay, record or live; did you mean 'live'?",
        ),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL: log_level is 'loud'"),
        ({"VLLM_HOURLY_RATE": "cheap"}, "VLLM_HOURLY_RATE: providers.vllm.hourly_rate is 'cheap'"),
        ({"OPENAI_BASE_URL": "ftp://x"}, "OPENAI_BASE_URL: providers.openai.base_url is 'ftp://x'"),
    ],
)
def test_a_mistake_in_the_environment_is_named_with_its_variable(
    place: Place, environ: dict[str, str], says: str
) -> None:
    assert says in place.error(environ)


def test_a_variable_of_another_program_is_passed_over(place: Place) -> None:
    loaded = place.load({"SANDBOX_RUNTIME": "1", "SANDBOX_TEST_MATERIAL": "/x"})
    assert loaded.ignored == ("SANDBOX_RUNTIME",)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("OPENAI_API_KEY=k\n\n# note\nfoo bar baz\n", 4, "not of the form NAME=value"),
        ("X=1\nOPENAI_API_KEY\n", 2, "OPENAI_API_KEY has no value"),
        ("\n\nSANDBOX_MDOE=live\n", 3, "SANDBOX_MDOE is no setting; did you mean SANDBOX_MODE?"),
        ("SANDBOX_FROBNICATE=1\n", 1, "SANDBOX_FROBNICATE is no setting"),
        ("A=1\nSANDBOX_MODE=lvie\n", 2, "mode is 'lvie'"),
    ],
)
def test_a_mistake_in_dotenv_is_named_with_its_line(place: Place, text: str, line: int, says: str) -> None:
    place.dotenv.write_text(text)
    message = place.error()
    assert message.startswith(f"{place.dotenv}, line {line}: ")
    assert says in message


def test_a_flag_is_named_as_the_user_wrote_it(place: Place) -> None:
    assert place.error(mode="lvie").startswith("--mode: mode is 'lvie'")


@pytest.mark.parametrize("name", ["config", "dotenv"])
def test_binary_files_are_refused_in_one_sentence(place: Place, name: str) -> None:
    path: Path = getattr(place, name)
    path.write_bytes(b"\xff\xfe\x00A")
    assert place.error() == f"{path} is not UTF-8 text"


# --- folders -------------------------------------------------------------------------------------------------------


def test_folders_are_the_platforms_unless_named(tmp_path: Path) -> None:
    assert config_dir({"SANDBOX_CONFIG_DIR": str(tmp_path)}) == tmp_path
    assert default_config_file({"SANDBOX_CONFIG_DIR": str(tmp_path)}) == tmp_path / "config.toml"
    assert config_dir({}).is_absolute()
    assert default_data_dir().is_absolute()


# --- any text at all -----------------------------------------------------------------------------------------------

_LINES = st.lists(
    st.sampled_from(
        ["mode = 'live'", "[cache]", "ttl = 3", "[providers.x]", "kind = 'openai'", "=", "'''", "[[a]]", "x.y = {"]
    )
    | st.text(string.printable, max_size=30),
    max_size=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=_LINES, name=st.sampled_from(["config", "dotenv"]))
def test_any_text_loads_or_is_refused_in_one_sentence(place: Place, lines: list[str], name: str) -> None:
    path: Path = getattr(place, name)
    path.write_text("\n".join(lines), encoding="utf-8")
    message = str(path)
    try:
        place.load()
    except ConfigError as error:
        message = str(error)
    path.unlink()
    assert str(path) in message
    assert "\n" not in message
