"""Every command in one table: what is registered, and what `--help` says. Imports nothing, so that help is instant."""

from __future__ import annotations

COMMANDS: tuple[tuple[str, str, str, str], ...] = (
    ("ask", "sandbox.cli.ask:ask", "PROMPT|-", "Ask once; the answer on stdout, its story on stderr."),
    ("compare", "sandbox.cli.compare:compare", "[PROMPT|-]", "Ask several models at once: answers, cost and times."),
    ("explain", "sandbox.cli.explain:explain", "REQUEST_ID", "Why a request went where it went, and what it cost."),
    ("costs", "sandbox.cli.costs:costs", "", "What was spent, what it would cost elsewhere, what could be saved."),
    ("budget set", "sandbox.cli.budget:set_", "LIMIT", "Set what may be spent in a month, by a tenant or by all."),
    ("budget show", "sandbox.cli.budget:show", "", "How the budgets stand this month."),
    ("replay", "sandbox.cli.replay:replay", "SCENARIO", "Run an outage in virtual time, and add up what it did."),
    ("scenarios list", "sandbox.cli.scenarios:list_", "", "The outages that come with the program, and your own."),
    ("scenarios show", "sandbox.cli.scenarios:show", "NAME", "The text of one, to copy and to change."),
    ("scenarios validate", "sandbox.cli.scenarios:validate", "[FILE…]", "Check scenario files."),
    ("scenarios schema", "sandbox.cli.scenarios:schema", "", "The JSON Schema of scenario files."),
    (
        "scenarios from-log",
        "sandbox.cli.from_log:from_log",
        "[TRACE]",
        "A scenario from what happened: a trace, or the usage log.",
    ),
    ("serve", "sandbox.cli.serve:serve", "", "Serve the gateway to programs of your own, at a base URL of theirs."),
    ("admin token", "sandbox.cli.admin:token", "", "Sign a token for a served gateway's administrators and users."),
    ("admin key create", "sandbox.cli.admin:create", "NAME", "Make an API key of a served gateway."),
    ("admin key list", "sandbox.cli.admin:list_", "", "The API keys by name and scope."),
    ("admin key revoke", "sandbox.cli.admin:revoke", "NAME", "Take an API key back."),
    ("attach", "sandbox.cli.attach:attach", "[URL]", "Watch a gateway that is served, in the terminal UI."),
    ("run", "sandbox.cli.run:run", "-- CMD…", "Run a program against a gateway that is started for it."),
    ("wiretap", "sandbox.cli.wiretap:wiretap", "", "Serve the vendors' APIs on this machine, for any program's SDK."),
    ("models", "sandbox.cli.models:models", "[PATTERN]", "Models and their prices."),
    (
        "health",
        "sandbox.cli.health:health",
        "",
        "Ask each provider whether it is reachable, authenticated, fast enough.",
    ),
    (
        "backend show",
        "sandbox.cli.backend:show",
        "",
        "Where cache and usage records live.",
    ),
    (
        "backend switch",
        "sandbox.cli.backend:switch",
        "local|aws",
        "Put them on this machine or on AWS, after a live check.",
    ),
    ("aws table create", "sandbox.cli.aws:create", "NAME", "Make the DynamoDB table of usage records."),
    ("aws table describe", "sandbox.cli.aws:describe", "NAME", "How that table is, and whether it is as it should be."),
    ("aws table delete", "sandbox.cli.aws:delete", "NAME", "Delete that table with all its records."),
    ("aws policy", "sandbox.cli.aws:policy", "", "The least that an AWS role must be allowed, as an IAM policy."),
    ("config show", "sandbox.cli.config:show", "", "Every setting, its value and where it came from."),
    ("config path", "sandbox.cli.config:path", "", "Where the settings file is."),
    ("config import", "sandbox.cli.config:import_", "litellm FILE", "Settings from another program's configuration."),
    ("data path", "sandbox.cli.data:path", "", "Where cache and usage records are."),
    ("data size", "sandbox.cli.data:size", "", "How much room they take."),
    ("data prune", "sandbox.cli.data:prune", "", "Delete old usage records, or the cache."),
    ("fixtures list", "sandbox.cli.fixtures.listing:list_", "[PATTERN]", "What recorded exchanges there are."),
    ("fixtures show", "sandbox.cli.fixtures.showing:show", "NAME", "One recording, with the time line of its pieces."),
    ("fixtures record", "sandbox.cli.fixtures.recording:record", "PROMPT", "Ask once and keep the exchange."),
    (
        "fixtures verify",
        "sandbox.cli.fixtures.verifying:verify",
        "[FILE…]",
        "Check that the real provider adapters read recordings as expected.",
    ),
    (
        "fixtures replay",
        "sandbox.cli.fixtures.replaying:replay",
        "FILE…",
        "Send recorded exchanges through the real provider adapters.",
    ),
    (
        "fixtures import",
        "sandbox.cli.fixtures.importing:import_",
        "FILE…",
        "Take over fixtures of aimock, or cassettes of VCR.",
    ),
    ("fixtures export", "sandbox.cli.fixtures.exporting:export", "[NAME…]", "Write fixtures for aimock."),
    ("schema", "sandbox.cli.schema:schema", "[NAME]", "The JSON Schema of what a command prints with --json."),
    ("doctor", "sandbox.cli.doctor:doctor", "", "Check this installation."),
    ("selftest", "sandbox.cli.selftest:selftest", "", "Check the cost calculator against known figures."),
    ("completion", "sandbox.cli.completion:completion", "SHELL", "A completion script for bash, zsh or fish."),
)
"""Name (with its group), where the function is, its arguments, and one sentence."""

GROUPS = {
    "admin": "Who may use and administer a served gateway.",
    "admin key": "Its API keys.",
    "aws": "What the program needs of AWS.",
    "aws table": "The DynamoDB table of usage records.",
    "backend": "Where cache and usage records live: this machine, or AWS.",
    "budget": "What may be spent in a month.",
    "config": "The settings.",
    "data": "The local data.",
    "fixtures": "Recorded exchanges with providers.",
    "scenarios": "Outages as files.",
}

GLOBAL_OPTIONS = """\
Options of every command, before or after it:
  --mode MODE    who answers: mock (no key, no network), replay, record, live
  --preset NAME  failover policy: sandbox, happyos, unified, greenlang, aiworld;
                 `replay` takes several, also the breakers of
                 others: resilience4j, litellm
  --config FILE  settings from this file
  --ascii        the terminal UI draws with plain characters only
  --debug        show tracebacks and all log lines
"""


def help_text() -> str:
    """What `sandbox --help` prints."""
    usages = [(f"{name} {arguments}".rstrip(), sentence) for name, _, arguments, sentence in COMMANDS]
    width = max(len(usage) for usage, _ in usages)
    lines = "".join(f"  {usage:<{width}}  {sentence}\n" for usage, sentence in usages)
    return (
        "Usage: sandbox [OPTIONS] [COMMAND]\n\n"
        "See, offline, what an LLM application does when its providers misbehave, and what that costs.\n"
        "Without a command it opens the terminal UI.\n\n"
        f"Commands:\n{lines}\n{GLOBAL_OPTIONS}"
        "\n`sandbox COMMAND --help` explains one command; `sandbox --version` says which version this is.\n"
        "Exit codes: 0 done, 1 the work failed, 2 wrong use, 3 a check failed, 130 interrupted.\n"
    )
