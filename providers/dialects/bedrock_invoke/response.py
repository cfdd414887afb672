"""InvokeModel answers, both ways: read by their shape, as no field says whose it is, and written by the model."""

from __future__ import annotations

from typing import Any

from providers.dialects.bedrock_invoke import families
from providers.dialects.decoding import read_answer
from providers.dialects.vendor_errors import embedded_error
from providers.errors import MalformedResponseError
from providers.types import Completion


def decode_completion(body: bytes) -> Completion:
    def read(data: Any) -> Completion:
        if data.get("error") or data.get("__type"):
            raise embedded_error(data)
        family = families.of_answer(data)
        if family is None:
            raise MalformedResponseError(f"the answer has no known form, with the fields {', '.join(data)[:80]}")
        return family.read_answer(body)

    return read_answer(body, read, "a model's")


def encode_completion(completion: Completion, *, model: str, response_id: str, created: int) -> bytes:
    family = families.writing(model)
    return family.write_answer(completion, model=model, response_id=response_id, created=created)
