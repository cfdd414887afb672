"""What went wrong with AWS, in one sentence that says what to set. For the store, the commands and the doctor."""

from __future__ import annotations

import re
from typing import Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ReadTimeoutError,
    SSLError,
)

from providers.errors import AuthenticationError
from providers.redaction import redact
from providers.transports.aws_credentials import LONGEST_REASON
from sandbox.usage.dynamodb.access import TableError, Target

_THROTTLED: Final = frozenset(
    ("ProvisionedThroughputExceededException", "ThrottlingException", "Throttling", "RequestLimitExceeded",
     "TransactionInProgressException", "LimitExceededException")
)  # fmt: skip
_CREDENTIALS: Final = {
    "UnrecognizedClientException": "AWS does not know the access key: check aws.access_key_id and aws.profile",
    "InvalidClientTokenId": "AWS does not know the access key: check aws.access_key_id and aws.profile",
    "InvalidAccessKeyId": "AWS does not know the access key: check aws.access_key_id and aws.profile",
    "MissingAuthenticationToken": "AWS was sent no signature: set aws.profile, or aws.access_key_id with its secret",
    "MissingAuthenticationTokenException": (
        "AWS was sent no signature: set aws.profile, or aws.access_key_id with its secret"
    ),
    "InvalidSignatureException": "the secret access key is not the one of the access key id, or this clock is wrong",
    "SignatureDoesNotMatch": "the secret access key is not the one of the access key id, or this clock is wrong",
    "IncompleteSignature": "the secret access key is not the one of the access key id, or this clock is wrong",
    "ExpiredTokenException": "the AWS credentials have expired: sign in again (aws sso login), or set new ones",
    "ExpiredToken": "the AWS credentials have expired: sign in again (aws sso login), or set new ones",
    "RequestExpired": "the clock of this machine is too far from AWS's",
}
_ACTION: Final = re.compile(r"not authorized to perform: ([A-Za-z0-9*-]+:[A-Za-z0-9*]+)")


def explained(error: Exception, target: Target, operation: str) -> TableError:
    """The error in one sentence. Raise it outside of the handler: botocore's errors hold the signed request."""
    if isinstance(error, ClientError):
        return _answered(error, target, operation)
    kind = type(error).__name__
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return TableError(
            "there are no AWS credentials: set aws.profile, or AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, or run "
            "where a role is given",
            "credentials",
            kind,
        )
    if isinstance(error, NoRegionError):
        return TableError("no AWS region is set: set aws.region or AWS_REGION, such as us-east-1", "refused", kind)
    if isinstance(error, AuthenticationError):
        return TableError(error.message, "credentials", kind)
    if isinstance(error, CredentialRetrievalError):
        return TableError("the AWS credentials cannot be renewed: sign in again (aws sso login)", "credentials", kind)
    if isinstance(error, SSLError):
        return TableError(f"the certificate of {target.place} cannot be checked", "unreachable", kind)
    if isinstance(error, (ReadTimeoutError, ConnectTimeoutError)):
        return TableError(f"{target.place} does not answer", "unreachable", kind)
    if isinstance(error, EndpointConnectionError):
        return TableError(f"{target.place} cannot be reached", "unreachable", kind)
    if isinstance(error, (BotoCoreError, OSError)):
        return TableError(f"{target.place} cannot be reached ({kind})", "unreachable", kind)
    return TableError(f"{operation} failed: {_shortened(str(error)) or kind}", "refused", kind)


def _answered(error: ClientError, target: Target, operation: str) -> TableError:
    body = error.response.get("Error", {})
    code, message = str(body.get("Code", "")), str(body.get("Message", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _THROTTLED:
        return TableError(f"{target.place} is throttling table {target.table}", "throttled", code)
    if code in _CREDENTIALS:
        return TableError(_CREDENTIALS[code], "credentials", code)
    if code in ("AccessDeniedException", "AccessDenied"):
        found = _ACTION.search(message)
        action = found[1] if found else f"dynamodb:{operation}"
        return TableError(
            f"the AWS credentials may not do {action} on table {target.table}: grant it; `sandbox aws policy` prints a "
            "policy with all that is needed",
            "permission",
            code,
        )
    if code in ("ResourceNotFoundException", "TableNotFoundException"):
        return TableError(
            f"there is no table {target.table} at {target.place}: create it with `{target.create_command()}`",
            "missing",
            code,
        )
    if status >= 500:
        return TableError(f"{target.place} answered {status} to {operation}", "server", code)
    return TableError(f"{target.place} refused {operation}: {_shortened(message) or code}", "refused", code)


def _shortened(text: str) -> str:
    text = redact(" ".join(text.split()))
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 1] + "…"
