"""A comparison that was made, as a text that can be read again: who was asked what, and every sample."""

from __future__ import annotations

from dataclasses import dataclass, replace

from providers.errors import InputError
from sandbox.comparison.contestants import Contestant
from sandbox.comparison.question import Cell, Question
from sandbox.comparison.sample import Sample
from sandbox.comparison.standings import Outcome, outcome_of


@dataclass(frozen=True, slots=True)
class _Kept:
    mode: str
    catalogue: str
    question: Question
    contestants: tuple[Contestant, ...]
    samples: tuple[tuple[Cell, Sample], ...]


def written(outcome: Outcome, *, with_answers: bool) -> str:
    """JSON. Without answers the figures alone are kept."""
    from pydantic import TypeAdapter

    samples = [
        (Cell(prompt, number, turn), sample if with_answers else replace(sample, text=""))
        for prompt, row in enumerate(outcome.by_prompt)
        for number, one in enumerate(row)
        for turn, sample in enumerate(one.samples)
    ]
    who = tuple(one.contestant for one in outcome.overall)
    kept = _Kept(outcome.mode, outcome.catalogue, outcome.question, who, tuple(samples))
    return TypeAdapter(_Kept).dump_json(kept).decode()


def read(text: str) -> Outcome:
    """What was written, its standings worked out again. Raises InputError for a text that is none."""
    from pydantic import TypeAdapter, ValidationError

    try:
        kept = TypeAdapter(_Kept).validate_json(text)
    except ValidationError as error:
        raise InputError(f"this is no comparison: {error.errors()[0]['msg']}") from None
    kept.question.check()
    if not kept.contestants:
        raise InputError("this is no comparison: nobody was asked")
    return outcome_of(kept.question, kept.contestants, dict(kept.samples), kept.mode, kept.catalogue)
