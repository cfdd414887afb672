"""The signature against three others: AWS's published one, botocore's own client's, and a server's own reckoning."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials

from providers.transports.aws_credentials import open_session
from providers.transports.aws_sigv4 import authorization
from tests.providers.transports.sigv4 import expected_signature, signature

KEY_ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOON = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
MODELS = {
    "plain": "mistral.devstral-2-123b",
    "version": "anthropic.claude-3-sonnet-20240229-v1:0",
    "profile": "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    "arn": "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc~1.2_3",
    "odd": "a model/with spaces+and%25",
}


def micros(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def test_the_published_example_of_aws():
    signed = authorization(
        ReadOnlyCredentials(KEY_ID, SECRET, None), method="GET", url="https://example.amazonaws.com/", headers={},
        body=b"", region="us-east-1", service="service", at=micros(datetime(2015, 8, 30, 12, 36, tzinfo=UTC)),
    )  # fmt: skip
    assert signed == {
        "x-amz-date": "20150830T123600Z",
        "authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    }


@pytest.mark.parametrize("token", [None, "a/session+token=="], ids=["key", "token"])
@pytest.mark.parametrize(
    "endpoint", ["https://bedrock-runtime.eu-west-1.amazonaws.com", "http://127.0.0.1:4010/bedrock"]
)
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_botocores_own_client_signs_alike(model, endpoint, token, monkeypatch):
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: NOON)
    session = open_session(KEY_ID, SECRET, token)
    client = session.create_client(
        "bedrock-runtime",
        region_name="eu-west-1",
        endpoint_url=endpoint,
        config=Config(retries={"total_max_attempts": 1}),
    )
    sent: list[AWSPreparedRequest] = []

    def keep(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 500, {}, Empty())

    client.meta.events.register("before-send.bedrock-runtime", keep)
    with pytest.raises(client.exceptions.ClientError):
        client.converse(modelId=model, messages=[{"role": "user", "content": [{"text": "naïve"}]}])
    theirs = sent[0]
    ours = authorization(
        ReadOnlyCredentials(KEY_ID, SECRET, token), method="POST", url=theirs.url,
        headers={"content-type": "application/json"}, body=theirs.body, region="eu-west-1", service="bedrock",
        at=micros(NOON),
    )  # fmt: skip
    assert ours["authorization"] == theirs.headers["Authorization"].decode()
    assert ours["x-amz-date"] == theirs.headers["X-Amz-Date"].decode()
    assert ours.get("x-amz-security-token") == (token and theirs.headers["X-Amz-Security-Token"].decode())


class Empty:
    def stream(self, **_: Any) -> list[bytes]:
        return []


def test_every_header_that_is_given_is_signed():
    credentials = ReadOnlyCredentials(KEY_ID, SECRET, "token")
    url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/a%3A0/invoke"
    headers = {"content-type": "application/json", "x-amzn-bedrock-accept": "application/json"}
    at = micros(NOON)
    signed = authorization(
        credentials, method="POST", url=url, headers=headers, body=b"{}", region="us-east-1", service="bedrock", at=at
    )
    assert (
        "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amzn-bedrock-accept"
        in signed["authorization"]
    )
    arrived = {**signed, "host": "bedrock-runtime.us-east-1.amazonaws.com"}
    assert signature(signed) == expected_signature("POST", "/model/a%3A0/invoke", arrived, b"{}", secret=SECRET)
    for changed in ({**arrived, "x-amzn-bedrock-accept": "*/*"}, {**arrived, "x-amz-security-token": "other"}):
        assert signature(signed) != expected_signature("POST", "/model/a%3A0/invoke", changed, b"{}", secret=SECRET)
    assert signature(signed) != expected_signature("POST", "/model/a:0/invoke", arrived, b"{}", secret=SECRET)
