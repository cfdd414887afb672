"""Bedrock's models as data: their plain names, what each region calls them, and which API they speak.

Many models are not offered by a region itself but by an inference profile, which spreads calls over the regions of a
geography; its id is the model's with the geography in front.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

DEFAULT_REGION: Final = "us-east-1"

ALIASES: Final = {
    "claude-2": "anthropic.claude-v2",
    "claude-2.1": "anthropic.claude-v2:1",
    "claude-instant": "anthropic.claude-instant-v1",
    "claude-3-opus": "anthropic.claude-3-opus-20240229-v1:0",
    "claude-3-sonnet": "anthropic.claude-3-sonnet-20240229-v1:0",
    "claude-3-haiku": "anthropic.claude-3-haiku-20240307-v1:0",
    "claude-3.5-sonnet": "anthropic.claude-3-5-sonnet-20240620-v1:0",
    "claude-3-5-sonnet": "anthropic.claude-3-5-sonnet-20240620-v1:0",
    "claude-3-5-sonnet-20240620": "anthropic.claude-3-5-sonnet-20240620-v1:0",
    "claude-3-5-sonnet-20241022": "anthropic.claude-3-5-sonnet-20241022-v2:0",
    "claude-3.5-haiku": "anthropic.claude-3-5-haiku-20241022-v1:0",
    "claude-3-5-haiku": "anthropic.claude-3-5-haiku-20241022-v1:0",
    "claude-3.7-sonnet": "anthropic.claude-3-7-sonnet-20250219-v1:0",
    "claude-3-7-sonnet": "anthropic.claude-3-7-sonnet-20250219-v1:0",
    "claude-sonnet-4": "anthropic.claude-sonnet-4-20250514-v1:0",
    "claude-opus-4": "anthropic.claude-opus-4-20250514-v1:0",
    "claude-opus-4.1": "anthropic.claude-opus-4-1-20250805-v1:0",
    "claude-opus-4-1": "anthropic.claude-opus-4-1-20250805-v1:0",
    "claude-sonnet-4.5": "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "claude-sonnet-4-5": "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "claude-haiku-4.5": "anthropic.claude-haiku-4-5-20251001-v1:0",
    "claude-haiku-4-5": "anthropic.claude-haiku-4-5-20251001-v1:0",
    "claude-opus-4.5": "anthropic.claude-opus-4-5-20251101-v1:0",
    "claude-opus-4-5": "anthropic.claude-opus-4-5-20251101-v1:0",
    "claude-opus-4.6": "anthropic.claude-opus-4-6-v1",
    "claude-opus-4-6": "anthropic.claude-opus-4-6-v1",
    "claude-sonnet-4.6": "anthropic.claude-sonnet-4-6",
    "claude-sonnet-4-6": "anthropic.claude-sonnet-4-6",
    "claude-opus-4.7": "anthropic.claude-opus-4-7",
    "claude-opus-4-7": "anthropic.claude-opus-4-7",
    "claude-opus-4.8": "anthropic.claude-opus-4-8",
    "claude-opus-4-8": "anthropic.claude-opus-4-8",
    "claude-sonnet-5": "anthropic.claude-sonnet-5",
    "claude-opus-5": "anthropic.claude-opus-5",
    "claude-fable-5": "anthropic.claude-fable-5",
    "claude-fable-5-1": "anthropic.claude-fable-5-1",
    "claude-fable-5-2": "anthropic.claude-fable-5-2",
    "claude-haiku-5-5": "anthropic.claude-haiku-5-5",
    "claude-sonnet-5-5": "anthropic.claude-sonnet-5-5",
    "claude-opus-5-5": "anthropic.claude-opus-5-5",
    "nova-micro": "amazon.nova-micro-v1:0",
    "nova-lite": "amazon.nova-lite-v1:0",
    "nova-pro": "amazon.nova-pro-v1:0",
    "nova-premier": "amazon.nova-premier-v1:0",
    "nova-2-lite": "amazon.nova-2-lite-v1:0",
    "titan-text-lite": "amazon.titan-text-lite-v1",
    "titan-text-express": "amazon.titan-text-express-v1",
    "titan-text-premier": "amazon.titan-text-premier-v1:0",
    "llama-3-8b": "meta.llama3-8b-instruct-v1:0",
    "llama-3-70b": "meta.llama3-70b-instruct-v1:0",
    "llama-3.1-8b": "meta.llama3-1-8b-instruct-v1:0",
    "llama-3.1-70b": "meta.llama3-1-70b-instruct-v1:0",
    "llama-3.3-70b": "meta.llama3-3-70b-instruct-v1:0",
    "llama-4-scout": "meta.llama4-scout-17b-instruct-v1:0",
    "llama-4-maverick": "meta.llama4-maverick-17b-instruct-v1:0",
    "mistral-7b": "mistral.mistral-7b-instruct-v0:2",
    "mixtral-8x7b": "mistral.mixtral-8x7b-instruct-v0:1",
    "mistral-small-2402": "mistral.mistral-small-2402-v1:0",
    "mistral-large-2402": "mistral.mistral-large-2402-v1:0",
    "mistral-large-3": "mistral.mistral-large-3-675b-instruct",
    "pixtral-large": "mistral.pixtral-large-2502-v1:0",
    "jamba-1.5-mini": "ai21.jamba-1-5-mini-v1:0",
    "jamba-1.5-large": "ai21.jamba-1-5-large-v1:0",
    "jurassic-2-mid": "ai21.j2-mid-v1",
    "jurassic-2-ultra": "ai21.j2-ultra-v1",
    "command-r": "cohere.command-r-v1:0",
    "command-r-plus": "cohere.command-r-plus-v1:0",
}
"""Plain names and the ids of the models, without a geography."""

_HOUSES: Final = (
    "ai21", "amazon", "anthropic", "cohere", "deepseek", "google", "meta", "minimax", "mistral", "moonshot",
    "moonshotai", "nvidia", "openai", "qwen", "writer", "zai",
)  # fmt: skip
_ID: Final = re.compile(rf"(?:[a-z]{{2,6}}(?:-gov)?\.)?(?:{'|'.join(_HOUSES)})\.[a-z0-9]|arn:aws[a-z-]*:bedrock:")


def is_bedrock_id(model: str) -> bool:
    """Whether a name has the form of a model's id, of an inference profile's, or of an ARN."""
    return _ID.match(model) is not None


# --- inference profiles ---------------------------------------------------------------------------------------------


class Offer(NamedTuple):
    """How a group of models is offered."""

    begins: str
    """What the ids of the group begin with."""
    geographies: str
    """Those that have a profile for it; none: every region that has the model offers it itself."""
    regions: str = ""
    """Those that offer it themselves all the same."""


_ITSELF: Final = ""
OFFERS: Final = (
    Offer("anthropic.claude-v2", _ITSELF),
    Offer("anthropic.claude-instant", _ITSELF),
    Offer("anthropic.claude-3-opus", _ITSELF),
    Offer("anthropic.claude-3-sonnet", _ITSELF),
    Offer("anthropic.claude-3-haiku", _ITSELF),
    Offer("anthropic.claude-3-5-sonnet-20240620", _ITSELF),
    Offer("anthropic.claude-3-5-sonnet-20241022", "us apac", "us-west-2"),
    Offer("anthropic.claude-3-5-haiku", "us", "us-west-2"),
    Offer("anthropic.claude-3-7-sonnet", "us us-gov eu apac", "us-gov-west-1"),
    Offer("anthropic.claude-sonnet-4-2025", "us eu apac global"),
    Offer("anthropic.claude-opus-4-2025", "us"),
    Offer("anthropic.claude-opus-4-1", "us"),
    Offer("anthropic.claude-sonnet-4-5", "us us-gov eu au jp global"),
    Offer("anthropic.claude-opus-4-5", "us eu global"),
    Offer("anthropic.claude-opus-4-6", "us eu global"),
    Offer("anthropic.claude-opus-4-7", "us eu jp global"),
    Offer("anthropic.claude-fable-5-1", "us global"),
    Offer("anthropic.claude-fable-5-2", "us eu global"),
    Offer("anthropic.claude-", "us eu au jp global"),
    Offer("amazon.nova-2-lite", "us eu jp global"),
    Offer("amazon.nova-premier", "us"),
    Offer("amazon.nova-lite", "us ca eu apac", "us-east-1 us-gov-west-1"),
    Offer("amazon.nova-micro", "us eu apac", "us-east-1 us-gov-west-1"),
    Offer("amazon.nova-pro", "us eu apac", "us-east-1 us-gov-west-1"),
    Offer("meta.llama3-1", "us", "us-west-2"),
    Offer("meta.llama3-2-1b", "us eu"),
    Offer("meta.llama3-2-3b", "us eu"),
    Offer("meta.llama3-2", "us"),
    Offer("meta.llama3-3", "us"),
    Offer("meta.llama4", "us"),
    Offer("mistral.pixtral-large", "us eu"),
    Offer("deepseek.r1", "us"),
    Offer("writer.palmyra", "us"),
)
"""The first that fits counts; a model that none fits is offered by the regions themselves.

Source: docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html and the pages of the models.
"""

_GEOGRAPHIES: Final = (
    ("us-gov-", ("us-gov",)),
    ("us-", ("us",)),
    ("ca-", ("ca", "us")),
    ("eu-", ("eu",)),
    ("il-", ("eu",)),
    ("ap-northeast-1", ("jp", "apac")),
    ("ap-northeast-3", ("jp", "apac")),
    ("ap-southeast-2", ("au", "apac")),
    ("ap-southeast-4", ("au", "apac")),
    ("ap-", ("apac",)),
    ("me-central-1", ("apac",)),
)
"""Whose profiles a region may call, the nearest first. Source: the same page, "Source Regions"."""


def geographies(region: str) -> Iterator[str]:
    """Geographies whose profiles can be called from a region, the nearest first; the whole world comes last."""
    for begins, found in _GEOGRAPHIES:
        if region.startswith(begins):
            yield from found
            break
    if not region.startswith("us-gov-"):
        yield "global"


def in_region(model_id: str, region: str) -> str:
    """What a region calls a model: its id, or that of the nearest inference profile where there is no other way.

    Everything else stays as it is: ids of profiles, ARNs, models that are not known.
    """
    offer = next((offer for offer in OFFERS if model_id.startswith(offer.begins)), None)
    if offer is None or region in offer.regions.split():
        return model_id
    offered = offer.geographies.split()
    nearest = next((geography for geography in geographies(region) if geography in offered), None)
    return model_id if nearest is None else f"{nearest}.{model_id}"


# --- APIs -----------------------------------------------------------------------------------------------------------

_NOT_CONVERSE: Final = ("amazon.titan-t", "ai21.j2-", "cohere.command-text", "cohere.command-light")


def takes_converse(model_id: str) -> bool:
    """Whether Converse is the API for a model.

    Titan Text takes no system prompt there, Jurassic-2 and the first Command models no conversation. Source:
    docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html.
    """
    return not any(name in model_id for name in _NOT_CONVERSE)


_DOMAINS: Final = (("cn-", "amazonaws.com.cn"), ("eusc-", "amazonaws.eu"), ("", "amazonaws.com"))


def endpoint(region: str) -> str:
    """The address of Bedrock's runtime. Source: docs.aws.amazon.com/general/latest/gr/bedrock.html."""
    domain = next(domain for begins, domain in _DOMAINS if region.startswith(begins))
    return f"https://bedrock-runtime.{region}.{domain}"
