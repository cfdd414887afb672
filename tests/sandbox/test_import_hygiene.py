"""What a start may load. Each test is a process of its own, because one import stays for good."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

HEAVY = {
    "aiohttp",
    "anthropic",
    "asyncio",
    "boto3",
    "botocore",
    "cyclopts",
    "dotenv",
    "httpx2",
    "logging",
    "openai",
    "orjson",
    "platformdirs",
    "providers",
    "pydantic",
    "pydantic_settings",
    "rich",
    "sqlite3",
    "sqlite_utils",
    "textual",
    "tiktoken",
    "typing",
}

UNUSED_BY_MOCK_ASK = {
    "aiohttp",
    "anthropic",
    "boto3",
    "botocore",
    "dotenv",
    "httpx2",
    "openai",
    "pydantic_settings",
    "rich",
    "sqlite_utils",
    "textual",
    "tiktoken",
}


def loaded_by(code: str, folder: Path) -> set[str]:
    """The top-level modules that are loaded after `code` has run in a fresh interpreter."""
    report = folder / "modules.json"
    program = f"{code}\nimport json, sys\nopen({str(report)!r}, 'w').write(json.dumps(sorted(sys.modules)))"
    environment = {
        "PYTHONPATH": str(ROOT),
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "SANDBOX_CONFIG_DIR": str(folder / "config"),
        "SANDBOX_DATA_DIR": str(folder / "data"),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(report.read_text()))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What an interpreter loads by itself here: .pth files of other packages may import anything."""
    return loaded_by("pass", tmp_path_factory.mktemp("bare"))


def heavy(modules: set[str], bare: set[str], names: set[str]) -> set[str]:
    return {m for m in modules - bare if m.partition(".")[0] in names}


@pytest.mark.parametrize("option", ["--version", "-V", "--help", "-h"])
def test_version_and_help_load_nothing_heavy(option: str, bare: set[str], tmp_path: Path) -> None:
    modules = loaded_by(f"from sandbox.__main__ import main\nassert main([{option!r}]) == 0", tmp_path)
    assert heavy(modules, bare, HEAVY) == set()


@pytest.mark.parametrize("package", ["sandbox", "sandbox.cli", "sandbox.cli.commands"])
def test_importing_a_package_loads_nothing_heavy(package: str, bare: set[str], tmp_path: Path) -> None:
    assert heavy(loaded_by(f"import {package}", tmp_path), bare, HEAVY) == set()


def test_importing_providers_loads_no_library(bare: set[str], tmp_path: Path) -> None:
    modules = loaded_by("import providers, providers.types, providers.errors", tmp_path)
    assert heavy(modules, bare, (HEAVY - {"providers", "typing"})) == set()


@pytest.mark.parametrize("options", [[], ["--stream"], ["--json"], ["--fail", "openai=503"]])
def test_a_mock_answer_loads_only_what_it_needs(options: list[str], bare: set[str], tmp_path: Path) -> None:
    line = ["ask", "hello", *options]
    modules = loaded_by(f"from sandbox.__main__ import main\nassert main({line!r}) == 0", tmp_path)
    assert heavy(modules, bare, UNUSED_BY_MOCK_ASK) == set()
    unrelated = {
        f"sandbox.cli.{name}" for name in ("costs", "models", "health", "doctor", "schemas", "explain", "data")
    }
    assert modules & unrelated == set()


def test_every_exported_name_exists(tmp_path: Path) -> None:
    loaded_by("import sandbox\nassert [getattr(sandbox, name) for name in sandbox.__all__]", tmp_path)
    loaded_by("import providers\nassert [getattr(providers, name) for name in providers.__all__]", tmp_path)


def test_an_unknown_name_is_an_attribute_error(tmp_path: Path) -> None:
    loaded_by("import sandbox\nassert not hasattr(sandbox, 'no_such_name')", tmp_path)
