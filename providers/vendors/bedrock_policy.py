"""What an AWS role must be allowed to ask Bedrock's models, as the statements of an IAM policy.

Reference: docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-prereq.html (a profile needs its models too)
and the API reference: Converse is allowed by InvokeModel, ConverseStream by InvokeModelWithResponseStream.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from providers.vendors.bedrock_models import ALIASES, in_region

ACTIONS: Final = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")


def statement(asked: Iterable[tuple[str, str]], *, partition: str = "aws") -> dict[str, Any]:
    """The statement that allows asking models, plain names or ids, each in a region."""
    resources = {arn for model, region in asked for arn in _arns(ALIASES.get(model, model), region, partition)}
    return {"Sid": "Models", "Effect": "Allow", "Action": list(ACTIONS), "Resource": sorted(resources)}


def _arns(model_id: str, region: str, partition: str) -> Iterable[str]:
    if model_id.startswith("arn:"):
        return (model_id,)
    offered = in_region(model_id, region)
    # An id that says its geography is a profile's, whoever put it there.
    model = next((id for id in ALIASES.values() if offered.endswith(f".{id}")), model_id)
    if offered == model:
        return (f"arn:{partition}:bedrock:{region}::foundation-model/{model}",)
    return (
        f"arn:{partition}:bedrock:{region}:*:inference-profile/{offered}",
        f"arn:{partition}:bedrock:*::foundation-model/{model}",
    )
