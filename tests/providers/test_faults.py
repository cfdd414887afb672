"""Faults as people write them: on the command line and as objects."""

from __future__ import annotations

from typing import Any

import pytest

from providers.errors import InputError
from providers.faults import ANSWERED, KINDS, Fault, fault_from, idle_keys, parse_fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("503", Fault("http_error", status=503)),
        ("503:20", Fault("http_error", status=503, retry_after=20)),
        ("http_error:500", Fault("http_error", status=500)),
        ("429", Fault("rate_limit")),
        ("429:20", Fault("rate_limit", retry_after=20)),
        ("rate_limit:2s", Fault("rate_limit", retry_after=2)),
        ("rate_limit:250ms", Fault("rate_limit", retry_after=0.25)),
        (" stream-cut:5 ", Fault("stream_cut", after_tokens=5)),
        ("latency:0.5", Fault("latency", add=0.5)),
        ("quota:3", Fault("quota", requests=3)),
        ("malformed_event", Fault("malformed_event", event=10)),
        ("malformed_event:2", Fault("malformed_event", event=2)),
        ("error_event:529", Fault("error_event", status=529)),
        ("truncated_body:100", Fault("truncated_body", after_bytes=100)),
        ("trickle:20", Fault("trickle", bytes_per_second=20)),
        ("wrong_content_type:text/plain", Fault("wrong_content_type", content_type="text/plain")),
    ],
)
def test_text(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault
    assert fault_from(text) == fault


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ({"kind": "http_error", "status": 500, "after": "50ms"}, Fault("http_error", status=500, after=0.05)),
        (
            {"kind": "rate_limit", "retry_after": "2s", "probability": 0.5},
            Fault("rate_limit", retry_after=2, probability=0.5),
        ),
        ({"kind": "stream_stall", "after_tokens": 4, "for": "20s"}, Fault("stream_stall", after_tokens=4, duration=20)),
        ({"kind": "quota", "requests": 10, "per": "1m"}, Fault("quota", requests=10, per=60)),
        ({"kind": "latency", "times": 3}, Fault("latency", times=3)),
        ({"kind": "error_event", "status": 503, "after_tokens": 0}, Fault("error_event", after_tokens=0)),
    ],
)
def test_objects(raw: dict[str, Any], fault: Fault) -> None:
    assert fault_from(raw) == fault


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_written_by_its_name_alone(kind: str) -> None:
    assert parse_fault(kind) == fault_from({"kind": kind}) == Fault(kind)


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("strem_cut", r"unknown fault 'strem_cut': did you mean 'stream_cut'\? use an HTTP status such as 503"),
        ("auth:3", r"fault 'auth' takes no argument, but '3' was given"),
        ("http_error:200", r"fault 'http_error:200': status is '200'; it must be an HTTP error status"),
        ("700", r"status is '700'; it must be an HTTP error status, which is between 400 and 599"),
        ("stream_cut:1.5", r"after_tokens is '1.5'; it must be a whole number"),
        ("stream_cut:-1", r"after_tokens is '-1'; it must be a number from 0 on"),
        ("stream_cut:nan", r"after_tokens is 'nan'; it must be a number from 0 on"),
        ("latency:soon", r"add is 'soon'; it must be a duration such as 0.5, 50ms or 2s"),
        ("slow_stream:0", r"tokens_per_second is '0'; it must be a number above 0"),
        ("trickle:0", r"bytes_per_second is '0'; it must be a number above 0"),
        ("malformed_event:0", r"event is '0'; it must be a whole number from 1 on"),
        ("wrong_content_type:a/b\r\nx: y", r"content_type is .*; it must be a content type such as text/html"),
        ({"kind": "http_error", "stauts": 500}, r"the fault: http_error has no 'stauts'; did you mean 'status'\?"),
        ({"kind": "auth", "status": 500}, r"the fault: auth has no 'status'; it takes probability, after"),
        ({"kind": "http_error", "status": True}, r"the fault: status is 'True'; it must be a number from 0 on"),
        ({"kind": "http_error", "probability": 2}, r"probability is '2'; it must be a probability between 0 and 1"),
        ({"kind": "latency", "add": [1]}, r"add is '\[1\]'; it must be a duration"),
        ({"kind": 7}, r"the fault is \"\{'kind': 7\}\"; it must be text such as '503' or an object with a kind"),
        (None, r"the fault is 'None'; it must be text"),
    ],
)
def test_what_is_wrong_is_told_with_what_would_be_right(written: Any, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        fault_from(written)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_changes_nothing_is_told(kind: str) -> None:
    assert idle_keys({"kind": kind}) == {}
    told = idle_keys({"kind": kind, "after": "1s"})
    assert set(told) == (set() if kind in ANSWERED else {"after"})
    assert all(kind in sentence and "http_error" in sentence for sentence in told.values())


def test_what_says_when_instead_is_named() -> None:
    assert idle_keys({"kind": "stream_cut", "after": 1})["after"].endswith("; after_tokens says when it comes")
    assert idle_keys({"kind": "malformed_event", "after": 1})["after"].endswith("; event says when it comes")
    assert "says" not in idle_keys({"kind": "timeout", "after": 1})["after"]
    assert idle_keys("503") == {}
