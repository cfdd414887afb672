"""A provider that is simulated always: for trying things out, and as a stand-in that needs no name of a real one."""

from __future__ import annotations

from typing import Any, ClassVar

from providers.vendors.wire import WireProvider


class MockProvider(WireProvider):
    """Answers about the prompt, at no cost, without a network. It serves every model it is asked for."""

    kind: ClassVar[str] = "mock"
    default_model: ClassVar[str] = "mock-model"
    needs_key: ClassVar[bool] = False
    local: ClassVar[bool] = True
    prefills: ClassVar[bool] = True

    def __init__(self, model_id: str | None = None, **options: Any) -> None:
        options["mock_mode"] = True
        super().__init__(model_id, **options)

    def serves(self, model: str) -> bool:
        return True
