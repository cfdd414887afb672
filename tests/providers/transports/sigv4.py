"""Signature Version 4 as AWS describes it, by itself: what a server does with a request that has arrived.

Source: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import quote


def expected_signature(method: str, path: str, headers: Mapping[str, str], body: bytes, *, secret: str) -> str:
    """What the Signature of the request's own Authorization header must be. `path` is as it was sent, no query."""
    given = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=[^/]+/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
        r"SignedHeaders=([^,]+), Signature=[0-9a-f]{64}",
        headers["authorization"],
    )
    assert given, headers["authorization"]
    day, region, service, names = given.groups()
    signed = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in names.split(";"))
    # Every service but S3 escapes the path once more than the client did.
    canonical = "\n".join([method, quote(path, safe="/~"), "", signed, names, hashlib.sha256(body).hexdigest()])
    scope = f"{day}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def signature(headers: Mapping[str, str]) -> str:
    """The Signature of an Authorization header."""
    return headers["authorization"].rpartition("Signature=")[2]
