"""A credential is masked in whatever form it leaves the process."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.errors import ProviderError
from providers.redaction import MASK, redact

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


def test_what_is_no_text_stays() -> None:
    error = ProviderError("no", code=1302).redacted(["secret"])  # type: ignore[arg-type]
    assert error.code == 1302
    assert error.request_id is None
