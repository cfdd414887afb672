"""The shapes of everything that is printed as JSON, as types; `sandbox schema` turns them into JSON Schema.

Loaded only there: commands build plain dictionaries, and the tests hold what they print against these.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from sandbox.cli.schemas.admin import AdminKeyCreate, AdminKeyList, AdminToken
from sandbox.cli.schemas.aws import AwsPolicy, AwsTable, AwsTableCreate, AwsTableDelete
from sandbox.cli.schemas.comparison import Compare, CompareEstimate
from sandbox.cli.schemas.costs import Costs, CostsExport, CostsMachine, CostsRecommend, CostsRequests, CostsWhatIf
from sandbox.cli.schemas.fixtures import (
    FixtureReplay,
    FixturesImport,
    FixturesList,
    FixturesRecord,
    FixturesShow,
    FixturesVerify,
)
from sandbox.cli.schemas.reports import (
    BackendShow,
    BackendSwitch,
    BudgetShow,
    ConfigImport,
    ConfigShow,
    DataPrune,
    DataSize,
    Doctor,
    Health,
    Models,
    Place,
    Schemas,
    Selftest,
)
from sandbox.cli.schemas.requests import Ask, AskEvent, Explain, Failure, Plan
from sandbox.cli.schemas.scenarios import Replay, ReplayComparison, ScenarioChecks, ScenarioList
from sandbox.core.events import EVENT_TYPES

_SHAPES: dict[str, Any] = {
    "ask": Ask,
    "ask-event": AskEvent,
    "plan": Plan,
    "failure": Failure,
    "compare": Compare,
    "compare-estimate": CompareEstimate,
    "explain": Explain,
    "costs": Costs,
    "costs-requests": CostsRequests,
    "costs-what-if": CostsWhatIf,
    "costs-recommend": CostsRecommend,
    "costs-machine": CostsMachine,
    "costs-export": CostsExport,
    "budget-show": BudgetShow,
    "models": Models,
    "health": Health,
    "admin-token": AdminToken,
    "admin-key-create": AdminKeyCreate,
    "admin-key-list": AdminKeyList,
    "aws-table-create": AwsTableCreate,
    "aws-table-describe": AwsTable,
    "aws-table-delete": AwsTableDelete,
    "aws-policy": AwsPolicy,
    "backend-show": BackendShow,
    "backend-switch": BackendSwitch,
    "config-show": ConfigShow,
    "config-import": ConfigImport,
    "path": Place,
    "data-size": DataSize,
    "data-prune": DataPrune,
    "doctor": Doctor,
    "fixtures-list": FixturesList,
    "fixtures-show": FixturesShow,
    "fixtures-record": FixturesRecord,
    "fixtures-verify": FixturesVerify,
    "fixtures-replay": FixtureReplay,
    "fixtures-import": FixturesImport,
    "replay": Replay,
    "replay-comparison": ReplayComparison,
    "scenarios-list": ScenarioList,
    "scenarios-validate": ScenarioChecks,
    "selftest": Selftest,
    "schemas": Schemas,
}

NAMES: tuple[str, ...] = (*_SHAPES, "settings", "trace")


_SENTENCES = {
    "ask-event": "One line of `ask --stream --json`; the last line is the whole result (`ask`).",
    "settings": "Everything that can be set, as the settings file nests it.",
    "trace": "One line of a trace after its header.",
}
"""What the shapes are that have no docstring of their own to say it."""


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one of `NAMES`."""
    if name == "settings":
        from sandbox.settings.model import Settings

        body = Settings.model_json_schema()
    elif name == "trace":
        body = _trace_line()
    else:
        body = TypeAdapter(_SHAPES[name]).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **body, "description": describe(name)}


def _trace_line() -> dict[str, Any]:
    """Any event of a trace: its fields and, as traces have it, its name."""
    shapes: list[dict[str, Any]] = []
    parts: dict[str, Any] = {}
    for name, event in EVENT_TYPES.items():
        shape = TypeAdapter(event).json_schema(mode="serialization")
        parts |= shape.pop("$defs", {})
        shape["properties"]["event"] = {"const": name}
        shape["required"] = [*shape["required"], "event"]
        shape["additionalProperties"] = False
        shapes.append(shape)
    return {"oneOf": shapes, "$defs": parts}


def describe(name: str) -> str:
    """One sentence about a shape."""
    return _SENTENCES.get(name) or str(_SHAPES[name].__doc__).partition("\n")[0]
