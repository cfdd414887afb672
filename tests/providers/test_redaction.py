"""A credential is masked in whatever form it leaves the process."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.errors import ProviderError
from providers.redaction import MASK, redact, redact_headers, redact_path, spans

SECRET = 'pa ss/wö"rd+\\x&1'


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote(SECRET, safe="").lower(),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        json.dumps(SECRET)[1:-1].replace("/", "\\/"),
    ],
)
def test_every_form_is_masked(form: str) -> None:
    assert redact(f"before {form} after", [SECRET]) == f"before {MASK} after"


def test_a_secret_that_begins_like_another_leaves_nothing() -> None:
    assert redact("key=tenant-12345", ["tenant", "tenant-12345"]) == f"key={MASK}"


@given(st.text(min_size=4, max_size=20), st.text(max_size=20))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_no_form_of_any_secret_is_left(secret: str, around: str) -> None:
    for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]):
        assert redact(around + form, [secret]).count(form) <= MASK.count(form)


def test_an_error_masks_all_that_a_vendor_said() -> None:
    secret = "correct horse"
    error = ProviderError(
        f"no {secret}", code=f"c {secret}", error_type=f"t {quote(secret)}", request_id=f"r {secret}"
    ).redacted([secret])
    assert [str(error), error.message, error.code, error.error_type, error.request_id] == [
        f"no {MASK}", f"no {MASK}", f"c {MASK}", f"t {MASK}", f"r {MASK}",
    ]  # fmt: skip


def test_an_error_masks_what_looks_like_a_key_at_once() -> None:
    key = "sk-abcdefghijkl"
    error = ProviderError("no", code=key, error_type=f"bad {key}", request_id=key)
    assert (error.code, error.error_type, error.request_id) == (MASK, f"bad {MASK}", MASK)


@pytest.mark.parametrize(
    "key",
    [
        "ABSKQmVkcm9ja0FQSUtleS1hYmNkLWF0LTEyMzQ1Njc4OTAxMjpz+k/Q==",
        "bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29tLz9BY3Rpb249Q2Fs+bA/==",
    ],
)
def test_keys_of_bedrock_are_known_by_their_shape(key: str) -> None:
    assert redact(f"the key {key} is no good") == f"the key {MASK} is no good"


def test_a_bearer_token_is_masked_to_its_end() -> None:
    assert redact("authorization: Bearer abc+def/ghi~jkl==, and so on") == f"authorization: Bearer {MASK}, and so on"


def test_what_is_no_text_stays() -> None:
    error = ProviderError("no", code=1302).redacted(["secret"])  # type: ignore[arg-type]
    assert error.code == 1302
    assert error.request_id is None


# --- headers, paths, places ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "Proxy-Authorization", "X-Api-Key", "api-key", "x-goog-api-key", "Ocp-Apim-Subscription-Key",
        "X-Amz-Security-Token", "X-Auth-Token", "Cookie", "Set-Cookie", "OpenAI-Organization", "openai-project",
        "anthropic-organization-id", "x-goog-user-project", "X-Amz-Signature",
    ],
)  # fmt: skip
def test_a_header_that_carries_a_credential_or_an_account_is_dropped(name: str) -> None:
    assert redact_headers({name: "canary"}) == {}


@pytest.mark.parametrize(
    "name",
    [
        "content-type", "x-request-id", "apim-request-id", "x-amzn-requestid", "retry-after", "openai-version",
        "x-ratelimit-remaining-tokens", "anthropic-ratelimit-tokens-limit", "x-ratelimit-limit-project-tokens",
        "openai-processing-ms", "x-amzn-errortype", "x-amzn-bedrock-input-token-count", "x-amz-date",
    ],
)  # fmt: skip
def test_a_header_that_tells_of_the_answer_is_kept(name: str) -> None:
    assert redact_headers({name.upper(): "7"}) == {name: "7"}


def test_a_header_that_echoes_a_credential_is_kept_without_it() -> None:
    assert redact_headers({"X-Echo": f"you sent {SECRET}"}, [SECRET]) == {"x-echo": f"you sent {MASK}"}


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/v1beta/models/g:generateContent?key=canary", f"/v1beta/models/g:generateContent?key={MASK}"),
        ("/m:stream?alt=sse&key=a%2Bb", f"/m:stream?alt=sse&key={MASK}"),
        (
            "/model/m/invoke?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=c%2F2025&X-Amz-Signature=f00&"
            "X-Amz-Security-Token=t",
            f"/model/m/invoke?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={MASK}&X-Amz-Signature={MASK}&"
            f"X-Amz-Security-Token={MASK}",
        ),
        ("/x?sig=a#part", f"/x?sig={MASK}#part"),
        ("/x?api-version=2024-10-21&monkey=1", "/x?api-version=2024-10-21&monkey=1"),
    ],
)
def test_a_query_keeps_no_credential(path: str, kept: str) -> None:
    assert redact_path(path) == kept


def test_places_that_touch_are_one() -> None:
    assert spans("a tenant-12345 b tenant c", ["tenant", "tenant-12345", "12345"]) == [(2, 14), (17, 23)]
    assert spans("nothing here", ["tenant"]) == []


@given(st.text(), st.text(min_size=4))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_nothing_is_left_between_the_places(text: str, secret: str) -> None:
    text = text + secret + text
    last = 0
    for begin, end in spans(text, [secret]):
        assert secret not in text[last:begin]
        last = end
    assert secret not in text[last:]
