"""As whom AWS knows the caller. Nobody needs a permission to ask that."""

from __future__ import annotations

from sandbox.usage.dynamodb.access import AwsAccess

TIMEOUT = 3.0
"""Seconds to connect, and to answer."""


def caller(access: AwsAccess) -> str | None:
    """The ARN of the user or role that signs; None where STS does not say. Blocks."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    from providers.errors import AuthenticationError
    from providers.transports.aws_credentials import open_session, unlogged

    config = Config(retries={"total_max_attempts": 1}, connect_timeout=TIMEOUT, read_timeout=TIMEOUT)
    with unlogged():
        try:
            session = open_session(access.access_key_id, access.secret_access_key, access.session_token, access.profile)
            client = boto3.Session(botocore_session=session).client("sts", region_name=access.region, config=config)
        except (BotoCoreError, AuthenticationError):
            return None
        try:
            arn: str | None = client.get_caller_identity().get("Arn")
        except (BotoCoreError, ClientError):
            return None
        finally:
            client.close()
    return arn
