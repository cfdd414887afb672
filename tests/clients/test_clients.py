"""Each client, API and case against one running wiretap."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.clients import node
from tests.clients.cases import Speaker, cases, judge
from tests.clients.harness import running
from tests.clients.outcome import Outcome, outcome_of
from tests.clients.speakers import node_speakers, python_speakers


@pytest.fixture(scope="module")
def wiretap() -> Iterator[str]:
    with running() as url:
        yield url


PYTHON = python_speakers()


@pytest.mark.parametrize("speaker", PYTHON, ids=[speaker.name for speaker in PYTHON])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_python_client_makes_of_every_case_what_it_documents(speaker: Speaker, wiretap: str) -> None:
    assert not isinstance(speaker.open, str)
    with ExitStack() as stack:
        ask = speaker.open(wiretap, stack)
        problems = {case: judge(speaker, case, outcome_of(ask, form, fault)) for case, form, fault in cases(speaker)}
    assert {case: problem for case, problem in problems.items() if problem} == {}
    assert len(problems) >= len(speaker.forms) + 5


@pytest.mark.skipif(node.absent() is not None, reason=f"{node.absent()}")
@pytest.mark.parametrize("speaker", node_speakers(), ids=[speaker.name for speaker in node_speakers()])
def test_a_javascript_client_makes_of_every_case_what_it_documents(speaker: Speaker, wiretap: str) -> None:
    work = list(cases(speaker))
    told = node.outcomes(wiretap, [(str(speaker.open), form, fault) for _, form, fault in work])
    problems = {case: judge(speaker, case, one) for (case, *_), one in zip(work, told, strict=True)}
    assert {case: problem for case, problem in problems.items() if problem} == {}


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("plain", Outcome(error="openai.APIError")),
        ("plain", Outcome("text", [], 3, 4, "length")),
        ("plain", Outcome("text", [], None, 4, "stop")),
        ("plain", Outcome("", [], 3, 4, "stop")),
        ("tool", Outcome("", [{"name": "get_weather", "arguments": "Paris"}], 3, 4, "tool_calls")),
        ("tool", Outcome("It rains.", [], 3, 4, "tool_calls")),
        ("key", Outcome("text", [], 3, 4, "stop")),
        ("key", Outcome(error="openai.APIError")),
    ],
)
def test_what_is_wrong_is_found(case: str, told: Outcome) -> None:
    assert judge(PYTHON[0], case, told) is not None
