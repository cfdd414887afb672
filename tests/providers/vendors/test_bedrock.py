"""Bedrock by itself: its models in every region, its APIs, whose credentials it uses and what it says without any."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from providers import BedrockProvider, GenerationRequest
from providers.errors import AuthenticationError, ConfigError, ProviderError
from providers.exchange import Chunk, Exchange, RecordedRequest, RecordedResponse
from providers.pricing import catalogue
from providers.transports.replay import ReplayTransport
from providers.types import Completion, TokenUsage
from providers.vendors.aws_settings import region_of_environment
from providers.vendors.bedrock_models import ALIASES, OFFERS, endpoint, in_region, is_bedrock_id
from tests import fake_vendor
from tests.fake_vendor import FakeVendor, serving

ROOT = Path(__file__).parents[3]
ARN = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123"
KEYS = {"aws_access_key_id": "AKIDGIVEN", "aws_secret_access_key": "given-secret", "aws_session_token": "given-token"}


def simulated(**options: Any) -> BedrockProvider:
    return BedrockProvider(mock_mode=True, **options)


@pytest.fixture
async def vendor() -> AsyncIterator[FakeVendor]:
    async with serving() as server:
        yield server


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """AWS's own files with two profiles, one of them the default."""
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id=AKIDDEFAULT\naws_secret_access_key=default-secret\n"
        "[work]\naws_access_key_id=AKIDWORK\naws_secret_access_key=work-secret\n"
    )
    (tmp_path / "config").write_text("[default]\nregion = eu-west-3\n[profile work]\nregion = ap-southeast-2\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return tmp_path


# --- models -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("claude-3-sonnet", "anthropic.claude-3-sonnet-20240229-v1:0"),
        ("claude-3-haiku", "anthropic.claude-3-haiku-20240307-v1:0"),
        ("claude-3-opus", "anthropic.claude-3-opus-20240229-v1:0"),
        ("claude-3.5-sonnet", "anthropic.claude-3-5-sonnet-20240620-v1:0"),
        ("claude-2", "anthropic.claude-v2"),
        ("claude-2.1", "anthropic.claude-v2:1"),
        ("Claude-3-Opus", "anthropic.claude-3-opus-20240229-v1:0"),
        ("claude-haiku-4-5", "us.anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("claude-sonnet-4.5", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("claude-opus-5-5", "us.anthropic.claude-opus-5-5"),
        ("nova-lite", "amazon.nova-lite-v1:0"),
        ("nova-premier", "us.amazon.nova-premier-v1:0"),
        ("llama-3.3-70b", "us.meta.llama3-3-70b-instruct-v1:0"),
        ("mixtral-8x7b", "mistral.mixtral-8x7b-instruct-v0:1"),
        ("titan-text-express", "amazon.titan-text-express-v1"),
        ("jurassic-2-ultra", "ai21.j2-ultra-v1"),
        ("jamba-1.5-large", "ai21.jamba-1-5-large-v1:0"),
        ("anthropic.claude-sonnet-4-6", "us.anthropic.claude-sonnet-4-6"),
        ("anthropic.claude-opus-9", "us.anthropic.claude-opus-9"),
        ("openai.gpt-oss-120b-1:0", "openai.gpt-oss-120b-1:0"),
        ("global.anthropic.claude-sonnet-4-6", "global.anthropic.claude-sonnet-4-6"),
        ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", "eu.anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("us-gov.anthropic.claude-3-haiku-20240307-v1:0", "us-gov.anthropic.claude-3-haiku-20240307-v1:0"),
        (ARN, ARN),
        ("gpt-4", None),
        ("gpt-4.1", None),
        ("claude-3-sonet", None),
        ("claude-opus-9", None),
        ("llama3.2", None),
        ("mistral", None),
        ("Qwen/Qwen2.5-7B-Instruct", None),
        ("deepseek-r1", None),
        ("gemini-1.5-pro", None),
        ("arn:aws:s3:::bucket", None),
    ],
)
def test_which_models_it_serves_in_the_default_region(asked, answered):
    assert simulated().resolve_model(asked) == answered


HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"


@pytest.mark.parametrize(
    ("region", "model", "called"),
    [
        ("us-east-1", HAIKU, "us." + HAIKU),
        ("us-west-2", HAIKU, "us." + HAIKU),
        ("ca-central-1", HAIKU, "us." + HAIKU),
        ("eu-central-1", HAIKU, "eu." + HAIKU),
        ("il-central-1", HAIKU, "eu." + HAIKU),
        ("ap-northeast-1", HAIKU, "jp." + HAIKU),
        ("ap-southeast-2", HAIKU, "au." + HAIKU),
        # Neither a profile of their own nor one of their continent: the whole world is left.
        ("ap-south-1", HAIKU, "global." + HAIKU),
        ("sa-east-1", HAIKU, "global." + HAIKU),
        ("me-central-1", HAIKU, "global." + HAIKU),
        # GovCloud stays among itself.
        ("us-gov-west-1", HAIKU, HAIKU),
        (
            "us-gov-west-1",
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            "us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        ("ap-northeast-1", "anthropic.claude-sonnet-4-20250514-v1:0", "apac.anthropic.claude-sonnet-4-20250514-v1:0"),
        ("eu-west-1", "anthropic.claude-opus-4-1-20250805-v1:0", "anthropic.claude-opus-4-1-20250805-v1:0"),
        ("us-west-2", "anthropic.claude-3-5-sonnet-20241022-v2:0", "anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("us-east-1", "anthropic.claude-3-5-sonnet-20241022-v2:0", "us.anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("us-east-1", "amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        ("us-west-2", "amazon.nova-pro-v1:0", "us.amazon.nova-pro-v1:0"),
        ("ca-central-1", "amazon.nova-lite-v1:0", "ca.amazon.nova-lite-v1:0"),
        ("ap-south-1", "amazon.nova-lite-v1:0", "apac.amazon.nova-lite-v1:0"),
        ("eu-west-1", "meta.llama3-2-3b-instruct-v1:0", "eu.meta.llama3-2-3b-instruct-v1:0"),
        ("us-west-2", "meta.llama3-1-8b-instruct-v1:0", "meta.llama3-1-8b-instruct-v1:0"),
        ("eu-west-1", "anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-haiku-20240307-v1:0"),
        ("eu-west-1", "us." + HAIKU, "us." + HAIKU),
        ("eu-west-1", ARN, ARN),
        ("eu-west-1", "imported-model", "imported-model"),
    ],
)
def test_a_model_that_a_region_does_not_offer_itself_is_called_through_the_nearest_profile(region, model, called):
    assert in_region(model, region) == called
    assert in_region(called, region) == called
    provider = simulated(model_id=model, region=region)
    assert (provider.model, provider.model_id) == (model, called)


def test_no_offer_hides_behind_another_one():
    for index, offer in enumerate(OFFERS):
        hidden = [before.begins for before in OFFERS[:index] if offer.begins.startswith(before.begins)]
        assert not hidden, f"{offer.begins} never counts: {hidden}"
        assert set(offer.geographies.split()) <= {"us", "us-gov", "ca", "eu", "apac", "au", "jp", "global"}


UNPRICED = {"titan-text-premier", "jamba-1.5-mini", "jamba-1.5-large", "jurassic-2-mid", "jurassic-2-ultra",
            "command-r", "command-r-plus"}  # fmt: skip


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "sa-east-1"])
def test_every_alias_is_an_id_with_a_price(region):
    prices = catalogue("current")
    for alias, model in ALIASES.items():
        called = simulated(region=region).resolve_model(alias)
        assert called.endswith(model)
        assert is_bedrock_id(called)
        assert (prices.find("bedrock", called) is None) is (alias in UNPRICED), alias


def test_the_default_model_is_small_current_and_priced():
    provider = simulated()
    assert (provider.model, provider.model_id) == ("claude-haiku-4-5", "us." + HAIKU)
    row = catalogue("current").find("bedrock", provider.model_id)
    assert (row.input, row.output) == (Decimal("1.1"), Decimal("5.5"))


async def test_the_model_that_was_asked_for_is_named_and_priced():
    async with simulated() as provider:
        opus = await provider.generate(GenerationRequest(prompt="Hi", model="claude-3-opus"))
        assert (opus.model, opus.model_id) == ("claude-3-opus", "anthropic.claude-3-opus-20240229-v1:0")
        expected = (opus.usage.input_tokens * 15 + opus.usage.output_tokens * 75) / Decimal(1_000_000)
        assert opus.cost_usd == expected


@pytest.mark.parametrize(
    ("model", "sampling", "prefills"),
    [
        ("claude-3-opus", True, True),
        ("claude-haiku-4-5", True, True),
        ("claude-sonnet-4-6", True, False),
        ("claude-opus-4-7", False, False),
        (ARN.replace("abc123", "eu.anthropic.claude-sonnet-5"), False, False),
        ("nova-lite", True, False),
        ("titan-text-express", True, False),
    ],
)
def test_claude_is_claude_here_too(model, sampling, prefills):
    provider = simulated(model=model)
    assert provider.quirks_of(provider.model_id).sampling is sampling
    assert provider.prefills is prefills


# --- APIs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["answer", "stream"])
@pytest.mark.parametrize(
    ("model", "api", "dialect"),
    [
        ("claude-3-opus", None, "bedrock_converse"),
        ("claude-2", None, "bedrock_converse"),
        ("jamba-1.5-large", None, "bedrock_converse"),
        ("command-r", None, "bedrock_converse"),
        ("titan-text-express", None, "bedrock_invoke"),
        ("amazon.titan-tg1-large", None, "bedrock_invoke"),
        ("jurassic-2-mid", None, "bedrock_invoke"),
        ("cohere.command-light-text-v14", None, "bedrock_invoke"),
        (ARN, None, "bedrock_converse"),
        ("claude-3-opus", "invoke", "bedrock_invoke"),
        ("titan-text-express", "converse", "bedrock_converse"),
    ],
)
def test_which_api_a_model_is_asked_through(model, api, dialect, stream):
    provider = simulated(model=model, api=api)
    model_id = provider.model_id
    assert provider.dialect_of(model_id).name == dialect
    operation = {
        "bedrock_converse": ("converse", "converse-stream"),
        "bedrock_invoke": ("invoke", "invoke-with-response-stream"),
    }[dialect][stream]
    assert provider.path_of(model_id, stream=stream).endswith(f"/{operation}")


def test_paths_hold_ids_and_arns_as_one_part():
    provider = simulated()
    assert provider.path_of("anthropic.claude-v2:1") == "/model/anthropic.claude-v2%3A1/converse"
    assert provider.path_of(ARN, stream=True) == (
        "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Aapplication-inference-profile%2Fabc123/converse-stream"
    )
    assert provider.path_of("../../x?y#z") == "/model/..%2F..%2Fx%3Fy%23z/converse"


def test_an_api_that_there_is_not():
    with pytest.raises(ConfigError, match=r"api is 'responses' for bedrock; use converse or invoke"):
        simulated(api="responses")


# --- regions and addresses ----------------------------------------------------------------------------------------


def live(**options: Any) -> BedrockProvider:
    return BedrockProvider(mock_mode=False, **options)


def test_the_region_is_given_or_of_the_environment_or_of_the_profile(files, monkeypatch):
    assert live().region == "eu-west-3"
    assert live(profile="work").region == "ap-southeast-2"
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert live().region == "ap-southeast-2"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert live().region == "eu-west-1"
    monkeypatch.setenv("AWS_REGION", "Eu-North-1")
    assert live().region == "eu-north-1"
    given = live(region="ap-northeast-1")
    assert given.region == "ap-northeast-1"
    assert given.base_url == "https://bedrock-runtime.ap-northeast-1.amazonaws.com"
    assert given.model_id == "jp." + HAIKU


def test_without_any_it_is_the_first_region_of_aws(monkeypatch):
    assert live().region == "us-east-1"
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent/config")
    assert live().region == "us-east-1"


def test_mock_mode_asks_the_environment_for_nothing(files, monkeypatch):
    monkeypatch.setenv("AWS_REGION", "not a region")
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "key")
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "not an address")
    provider = simulated()
    assert (provider.region, provider.api_key) == ("us-east-1", None)
    assert provider.base_url == "https://bedrock-runtime.us-east-1.amazonaws.com"


@pytest.mark.parametrize("text", [
    "[default]\nregion = eu-west-3\n",
    "[profile default]\nregion = eu-west-3\n",
    "[profile work]\nregion=ap-southeast-2\noutput=json\n[default]\n",
    "[profile work]\nregion =\n",
    "[work]\nregion = eu-west-3\n",
    "[profile work]\n  s3 =\n    addressing_style = path\nregion = sa-east-1\n",
    "[profile other]\nregion = eu-west-3\n",
    "",
])  # fmt: skip
@pytest.mark.parametrize("profile", ["default", "work"])
def test_the_region_of_a_profile_is_what_botocore_reads(tmp_path, monkeypatch, text, profile):
    (tmp_path / "config").write_text(text)
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id=a\n[work]\naws_access_key_id=b\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    theirs = botocore.session.Session(profile=profile).get_config_variable("region")
    assert region_of_environment(profile) == (theirs or None)


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        (None, "us east 1", r"region is 'us east 1'; it must be a region such as us-east-1"),
        (None, "evil.example.com/", "region is 'evil.example.com/'"),
        ("AWS_REGION", "eu_west_1", "AWS_REGION is 'eu_west_1'"),
        ("AWS_DEFAULT_REGION", "-", "AWS_DEFAULT_REGION is '-'"),
    ],
)
def test_what_is_no_region_is_refused_with_its_place(monkeypatch, variable, value, complaint):
    if variable is not None:
        monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=complaint):
        live(region=None if variable else value)


def test_what_is_no_region_in_a_file_names_the_file(files):
    (files / "config").write_text("[default]\nregion = eu west\n")
    with pytest.raises(ConfigError, match=r"region of profile 'default' in .*config is 'eu west'"):
        live()


def test_addresses_are_those_of_botocore():
    session = botocore.session.Session()
    for region in ("us-east-1", "eu-central-2", "mx-central-1", "us-gov-west-1", "cn-north-1", "eusc-de-east-1"):
        theirs = session.create_client(
            "bedrock-runtime", region_name=region, aws_access_key_id="a", aws_secret_access_key="b"
        ).meta.endpoint_url
        assert endpoint(region) == theirs


def test_another_address(monkeypatch):
    assert live(base_url="http://127.0.0.1:4010/bedrock/").base_url == "http://127.0.0.1:4010/bedrock"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:4566")
    assert live().base_url == "http://localhost:4566"
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "https://vpce-1.example.com")
    assert live().base_url == "https://vpce-1.example.com"
    assert live(base_url="https://given.example.com").base_url == "https://given.example.com"
    monkeypatch.delenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://bedrock.example.com")
    with pytest.raises(ConfigError, match=r"AWS_ENDPOINT_URL is 'http://bedrock\.example\.com'; use https"):
        live()


# --- credentials --------------------------------------------------------------------------------------------------


async def signer(vendor: FakeVendor, **options: Any) -> str:
    """Who signed the request that arrives: the key's id, or the whole bearer token."""
    vendor.script = [fake_vendor.answer()]
    async with live(base_url=vendor.url, **options) as provider:
        await provider.attempt(GenerationRequest(prompt="Hi"), provider.model_id)
    header = vendor.seen[-1].headers["authorization"]
    return header.partition("Credential=")[2].partition("/")[0] or header


@pytest.mark.parametrize("transport", ["aiohttp", "sdk"])
async def test_whose_credentials_are_used(vendor, files, monkeypatch, transport):
    options = {"transport_kind": transport}
    assert await signer(vendor, **options) == "AKIDDEFAULT"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "env-secret")
    assert await signer(vendor, **options) == "AKIDENV"
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bedrock-api-key-env")
    assert await signer(vendor, **options) == "Bearer bedrock-api-key-env"
    # What is asked for goes before what happens to be there.
    assert await signer(vendor, **options, profile="work") == "AKIDWORK"
    assert await signer(vendor, **options, **KEYS) == "AKIDGIVEN"
    assert await signer(vendor, **options, **KEYS, api_key="given-key") == "Bearer given-key"


@pytest.mark.parametrize("transport", ["aiohttp", "sdk"])
async def test_a_bearer_token_needs_no_credentials(vendor, monkeypatch, transport):
    assert await signer(vendor, api_key="given-key", transport_kind=transport) == "Bearer given-key"
    assert "x-amz-date" not in vendor.seen[-1].headers


async def test_requests_are_signed_for_the_region(vendor):
    await signer(vendor, **KEYS, region="eu-west-1")
    assert "/eu-west-1/bedrock/aws4_request" in vendor.seen[-1].headers["authorization"]
    assert vendor.seen[-1].headers["x-amz-security-token"] == "given-token"
    assert vendor.seen[-1].path.startswith("/model/eu.anthropic.")


async def test_many_first_requests_look_for_credentials_once(vendor, files, monkeypatch):
    from providers.transports import aws_credentials

    looked = []
    real = aws_credentials.find_credentials
    monkeypatch.setattr(aws_credentials, "find_credentials", lambda session: looked.append(1) or real(session))
    vendor.script = [fake_vendor.answer()]
    async with live(base_url=vendor.url) as provider:
        ask = GenerationRequest(prompt="Hi")
        await asyncio.gather(*(provider.attempt(ask, provider.model_id) for _ in range(5)))
        assert provider.secrets() == ("default-secret",)
    assert len(looked) == 1


async def refusal(**options: Any) -> AuthenticationError:
    async with live(base_url="http://127.0.0.1:1", **options) as provider:
        for _ in range(2):
            with pytest.raises(AuthenticationError) as caught:
                await provider.attempt(GenerationRequest(prompt="Hi"), provider.model_id)
        assert (caught.value.provider, caught.value.model) == ("bedrock", "us." + HAIKU)
        assert not (await provider.health_check()).is_healthy
    return caught.value


@pytest.mark.parametrize("transport", ["aiohttp", "sdk"])
async def test_without_credentials_it_says_what_to_set(transport):
    error = await refusal(transport_kind=transport)
    for word in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK"):
        assert word in error.message
    assert error.message.endswith("use mock_mode=True")


async def test_half_a_pair_of_keys(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    assert "Partial credentials found in env" in (await refusal()).message
    assert "aws_secret_access_key is missing" in (await refusal(aws_access_key_id="AKID")).message
    assert "aws_access_key_id is missing" in (await refusal(aws_secret_access_key="canary")).message
    assert "aws_access_key_id is missing" in (await refusal(aws_session_token="canary")).message


async def test_a_profile_that_there_is_not(files):
    assert "there is no AWS profile 'wrok'; the AWS files have default, work" in (await refusal(profile="wrok")).message


@pytest.mark.parametrize("key", ["canary\n6f0e1b7c2a", "“canary-6f0e1b7c2a”", "canary-\x00"])
@pytest.mark.parametrize("name", [*KEYS, "api_key"])
async def test_a_credential_that_no_request_can_carry(name, key):
    given = {name: key} if name == "api_key" else {**KEYS, name: key}
    error = await refusal(**given)
    assert "a character that no key has" in error.message
    assert "6f0e" not in error.message


async def test_every_secret_is_masked_in_what_the_vendor_echoes(vendor, files):
    work, key = {"profile": "work"}, {"api_key": "given-key"}
    for options, secret in [(KEYS, "given-secret"), (KEYS, "given-token"), (work, "work-secret"), (key, "given-key")]:
        vendor.script = [fake_vendor.raw(403, f'{{"message":"no access for {secret} here"}}'.encode())]
        async with live(base_url=vendor.url, **options) as provider:
            with pytest.raises(ProviderError, match=r"no access for \[redacted\] here") as caught:
                await provider.attempt(GenerationRequest(prompt="Hi"), provider.model_id)
        assert secret not in repr(vars(caught.value))
        assert secret not in repr(provider)


def test_using_it_in_mock_mode_loads_nothing_of_aws():
    program = """
import asyncio, sys
from providers import BedrockProvider
answer = asyncio.run(BedrockProvider(mock_mode=True).generate("hi there"))
heavy = {"aiohttp", "boto3", "botocore", "urllib3"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "counted"),
    [
        ({"x-amzn-bedrock-input-token-count": "9", "x-amzn-bedrock-output-token-count": "13"}, (9, 13, False)),
        ({"x-amzn-bedrock-input-token-count": "9"}, None),
        ({"x-amzn-bedrock-input-token-count": "-1", "x-amzn-bedrock-output-token-count": "x"}, None),
    ],
)
async def test_tokens_that_a_body_does_not_count_are_told_beside_it(
    told: dict[str, str], counted: tuple[int, int, bool] | None
) -> None:
    body = b'{"id":1,"completions":[{"data":{"text":"Hello","tokens":[]},"finishReason":{"reason":"endoftext"}}]}'
    recorded = Exchange("bedrock", "invoke", RecordedRequest(), RecordedResponse(200, told, (Chunk(0, body),)))
    provider = BedrockProvider(model="jurassic-2-mid", transport=ReplayTransport(recorded))
    usage = (await provider.attempt(GenerationRequest("Hi"), "ai21.j2-mid-v1")).usage
    assert (usage and (usage.input_tokens, usage.output_tokens, usage.estimated)) == counted


def test_an_answer_is_priced_by_the_profile_that_was_asked() -> None:
    """InvokeModel answers of Claude name the bare model, which would carry a region's premium."""
    asked = "global.anthropic.claude-haiku-4-5-20251001-v1:0"
    answer = Completion(text="Hi", model="claude-haiku-4-5-20251001", usage=TokenUsage(1_000_000, 0))
    provider = BedrockProvider(model_id=asked, mock_mode=True, prices=catalogue("current"))
    response = provider.respond(GenerationRequest("Hi"), answer, started=0.0)
    assert response.cost_usd == Decimal(1)
