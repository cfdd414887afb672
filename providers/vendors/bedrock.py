"""Amazon Bedrock's runtime: the models of many houses behind one address in each region, for AWS credentials.

Reference: docs.aws.amazon.com/bedrock/latest/APIReference (operations of Amazon Bedrock Runtime).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple
from urllib.parse import quote

from providers.dialects import dialect
from providers.dialects.base import Dialect, Quirks
from providers.errors import AuthenticationError
from providers.transports.base import Transport
from providers.types import Completion, TokenUsage
from providers.vendors.anthropic import claude_prefills, claude_quirks
from providers.vendors.aws_settings import checked_region, region_of_environment
from providers.vendors.bedrock_models import (
    ALIASES,
    DEFAULT_REGION,
    endpoint,
    in_region,
    is_bedrock_id,
    takes_converse,
)
from providers.vendors.settings import checked_base_url, environment
from providers.vendors.wire import USER_AGENT, TransportKind, WireProvider

if TYPE_CHECKING:
    from botocore.session import Session

    from providers.transports.aws_credentials import AwsCredentials

SERVICE: Final = "bedrock"
"""What requests are signed for."""
ANY_SERVICE_VARIABLE: Final = "AWS_ENDPOINT_URL"
"""An address for all of AWS, such as an emulator's; that of the service goes before it."""

_OPERATIONS: Final = {
    "bedrock_converse": ("converse", "converse-stream"),
    "bedrock_invoke": ("invoke", "invoke-with-response-stream"),
}
"""Of each dialect: the operation that answers whole, and the one that streams."""


class _Keys(NamedTuple):
    """Given AWS keys; empty texts are none."""

    id: str
    secret: str
    token: str


class BedrockProvider(WireProvider):
    """One region. Models are asked through Converse, those that it does not take through InvokeModel; `api` settles it.

    `api_key` is a Bedrock API key, sent as a bearer token in place of a signature. Without one requests are signed with
    the given keys or `profile`, else, if there is no key in AWS_BEARER_TOKEN_BEDROCK, with what AWS's own chain finds:
    environment, profile, SSO, container, instance. `region`: else that of AWS_REGION, AWS_DEFAULT_REGION or the
    profile, else us-east-1.
    """

    kind: ClassVar[str] = "bedrock"
    dialect_name: ClassVar[str] = "bedrock_converse"
    apis: ClassVar[Mapping[str, tuple[str, str]]] = {"invoke": ("bedrock_invoke", "")}
    default_model: ClassVar[str] = "claude-haiku-4-5"
    default_transport: ClassVar[TransportKind] = "aiohttp"
    key_variable: ClassVar[str | None] = "AWS_BEARER_TOKEN_BEDROCK"
    url_variable: ClassVar[str | None] = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"
    needs_key: ClassVar[bool] = False
    aliases: ClassVar[Mapping[str, str]] = ALIASES

    def __init__(
        self,
        model_id: str | None = None,
        *,
        region: str | None = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        aws_session_token: str | None = None,
        profile: str | None = None,
        **options: Any,
    ) -> None:
        self.region = checked_region(region, source="region") if region else DEFAULT_REGION
        self.profile = profile
        self._keys = _Keys(
            *((key or "").strip() for key in (aws_access_key_id, aws_secret_access_key, aws_session_token))
        )
        self._found: tuple[Session, AwsCredentials] | None = None
        self._api_is_given = options.get("api") is not None
        super().__init__(model_id, **options)
        if self.mode == "live" and options.get("transport") is None:
            self._look_around(region_given=bool(region), key_given=bool(options.get("api_key")))
        if model_id is None:
            self.model_id = self.resolve_model(self.model) or self.model
        self.model_id = in_region(self.model_id, self.region)
        self.base_url = self.base_url or endpoint(self.region)
        self.prefills = _is_claude(self.model_id) and claude_prefills(_claude(self.model_id))  # type: ignore[misc]

    def _look_around(self, *, region_given: bool, key_given: bool) -> None:
        """What is not given comes from where AWS's own programs look for it."""
        if not region_given:
            self.region = region_of_environment(self.profile) or DEFAULT_REGION
        if not key_given and (self.profile or any(self._keys)):
            # A key that happens to be in the environment does not go before credentials that were asked for.
            self.api_key = None
        if not self.base_url:
            anywhere = environment(ANY_SERVICE_VARIABLE)
            if anywhere is not None:
                self.base_url = checked_base_url(anywhere, source=ANY_SERVICE_VARIABLE, plain_http=self.plain_http)

    # --- models ---------------------------------------------------------------------------------------------------

    def serves(self, model: str) -> bool:
        return is_bedrock_id(model)

    def resolve_model(self, model: str) -> str | None:
        """The id of the model, or of the inference profile through which this region offers it."""
        found = super().resolve_model(model)
        return None if found is None else in_region(found, self.region)

    def quirks_of(self, model_id: str) -> Quirks:
        return claude_quirks(_claude(model_id)) if _is_claude(model_id) else self.quirks

    def dialect_of(self, model_id: str) -> Dialect:
        if self._api_is_given or takes_converse(model_id):
            return self.dialect
        return dialect("bedrock_invoke")

    def path_of(self, model_id: str, *, stream: bool = False) -> str:
        # A colon may stand in a path as it is, but AWS's own clients escape it, and some proxies insist.
        operation = _OPERATIONS[self.dialect_of(model_id).name][stream]
        return f"/model/{quote(model_id, safe='')}/{operation}"

    # --- answers --------------------------------------------------------------------------------------------------

    def priced_as(self, completion: Completion, model_id: str) -> tuple[str, ...]:
        # What was asked says more: the geography of an inference profile, which has its price.
        return tuple(reversed(super().priced_as(completion, model_id)))

    def usage_beside(self, headers: Mapping[str, str]) -> TokenUsage | None:
        given, made = (headers.get(f"x-amzn-bedrock-{side}-token-count", "") for side in ("input", "output"))
        return TokenUsage(int(given), int(made)) if given.isdecimal() and made.isdecimal() else None

    # --- credentials ----------------------------------------------------------------------------------------------

    def secrets(self) -> tuple[str, ...]:
        found = self._found[1].secrets if self._found is not None else ()
        return (*super().secrets(), *filter(None, (self._keys.secret, self._keys.token)), *found)

    def _check_configured(self, model_id: str) -> None:
        super()._check_configured(model_id)
        keys = self._keys
        if bool(keys.id) is not bool(keys.secret) or (keys.token and not keys.secret):
            missing = "aws_secret_access_key" if keys.id else "aws_access_key_id"
            raise AuthenticationError(
                f"{missing} is missing for bedrock: AWS keys come in pairs", provider=self.kind, model=model_id
            )
        for value in keys:
            if not (value.isascii() and value.isprintable()):
                raise AuthenticationError(
                    "the AWS credentials of bedrock hold a character that no key has, such as a line break or a curly "
                    "quote",
                    provider=self.kind,
                    model=model_id,
                )

    def lacks(self) -> str | None:
        """The same; the first time it looks where AWS's own programs look, on a machine at AWS for up to seconds."""
        missing = super().lacks()
        if missing or self.mode != "live" or self._given is not None or self.api_key:
            return missing
        try:
            self._identity()
        except AuthenticationError as error:
            return error.message
        return None

    def _connected(self) -> Transport:
        if self.transport_kind == "sdk":
            return self._by_boto3()
        if self.api_key:
            return super()._connected()
        from providers.transports.aws_sigv4 import SigV4Transport

        _, credentials = self._identity()
        return SigV4Transport(
            self.base_url or endpoint(self.region),
            credentials=credentials,
            region=self.region,
            service=SERVICE,
            headers={"content-type": "application/json", "user-agent": USER_AGENT},
            max_connections=self.max_connections,
            clock=self.clock,
        )

    def _by_boto3(self) -> Transport:
        from providers.transports.aws_credentials import open_session
        from providers.transports.boto3_client import Boto3Transport

        session, credentials = (open_session(), None) if self.api_key else self._identity()
        return Boto3Transport(
            self.base_url or endpoint(self.region),
            session=session,
            region=self.region,
            credentials=credentials,
            api_key=self.api_key,
            user_agent=USER_AGENT,
            max_connections=self.max_connections,
        )

    def _identity(self) -> tuple[Session, AwsCredentials]:
        """Who signs: found once and kept when connections are closed, since these secrets are masked."""
        from providers.transports.aws_credentials import find_credentials, open_session

        if self._found is None:
            keys = self._keys
            session = open_session(keys.id, keys.secret, keys.token or None, self.profile)
            credentials = find_credentials(session)
            if credentials is None:
                raise AuthenticationError(
                    "no AWS credentials for bedrock: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE "
                    "or AWS_BEARER_TOKEN_BEDROCK; to try it without any, use mock_mode=True"
                )
            self._found = session, credentials
        return self._found


def _is_claude(model_id: str) -> bool:
    return "anthropic.claude" in model_id


def _claude(model_id: str) -> str:
    """A Claude's plain name, without house and geography."""
    return model_id[model_id.find("claude") :]
