"""Parses one command line, runs its command, answers with an exit code. Only the asked command's module is imported."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from providers.errors import FixtureError, InputError, ProviderError
from providers.hints import did_you_mean
from sandbox import __version__
from sandbox.cache.base import CacheUnavailable
from sandbox.cli import options as global_options
from sandbox.cli.commands import COMMANDS, GLOBAL_OPTIONS, GROUPS, help_text
from sandbox.cli.exits import CommandFailed, Exit
from sandbox.cli.failures import as_json, exit_for
from sandbox.cli.output import Output, OutputLost
from sandbox.cli.session import Session
from sandbox.usage.base import UsageUnavailable

if TYPE_CHECKING:
    from cyclopts import App, CycloptsError

    from sandbox.cli.attach import OpenAttached
    from sandbox.cli.wiretap import OpenWiretap
    from sandbox.serving import OpenServer, OpenWeb


_MAY_BE_EMPTY: Final = frozenset({"--system"})
"""Options whose value is a text for a model: none is one too."""


def build() -> App:
    """The parser with every command registered by name."""
    from cyclopts import App, Parameter

    shared: dict[str, Any] = {
        "default_parameter": Parameter(negative=(), show_default=_default_text),
        "help_epilogue": GLOBAL_OPTIONS,
        "help_format": "plaintext",
        "version_flags": [],
    }
    app = App(name="sandbox", help="Without a command: the terminal UI.", version=__version__, **shared)
    groups = {name: App(name=name.rpartition(" ")[2], help=sentence, **shared) for name, sentence in GROUPS.items()}
    for name, group in groups.items():
        outer = name.rpartition(" ")[0]
        (groups[outer] if outer else app).command(group)
    for name, place, _, sentence in COMMANDS:
        group_name, _, last = name.rpartition(" ")
        parent = groups[group_name] if group_name else app
        parent.command(place, name=last, help=sentence)
    return app


def _default_text(value: Any) -> str | None:
    """What help says about a default: nothing for what is off or unset."""
    return None if value is False or value is None else str(value)


def run(
    arguments: Sequence[str],
    *,
    open_ui: Callable[[Session], int],
    open_wiretap: OpenWiretap | None = None,
    open_server: OpenServer | None = None,
    open_attached: OpenAttached | None = None,
    open_web: OpenWeb | None = None,
    output: Output | None = None,
) -> int:
    """Run one command line; every problem ends as one sentence on stderr and an exit code, except a broken pipe.

    The other faces are handed in: the terminal UI (here, on a gateway elsewhere, and in a browser), the vendors' fakes,
    and the gateway as a server.
    """
    output = output or Output()
    debug = "--debug" in arguments
    try:
        options, rest = global_options.split([_text(number, one) for number, one in enumerate(arguments, 1)])
        session = Session(
            options,
            output,
            open_wiretap=open_wiretap,
            open_server=open_server,
            open_attached=open_attached,
            open_web=open_web,
        )
        if rest in (["--help"], ["-h"]):
            output.out.write(help_text())
            return int(Exit.DONE)
        if rest:
            return int(_dispatch(session, rest))
        if not (output.out.terminal and output.err.terminal):
            raise InputError("the terminal UI needs a terminal; `sandbox --help` lists the commands")
        return open_ui(session)
    except (BrokenPipeError, OutputLost):
        raise
    except (Exception, KeyboardInterrupt) as error:
        return int(exit_for(error, output, debug=debug))


def _text(number: int, argument: str) -> str:
    """An argument as it was typed; a locale without UTF-8 hands over bytes that it cannot read. Raises InputError."""
    if argument.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in argument):
        return argument
    try:
        return os.fsencode(argument).decode()
    except UnicodeError:
        raise InputError(f"argument {number} is not valid UTF-8 text") from None


def _dispatch(session: Session, tokens: list[str]) -> int:
    from cyclopts import CycloptsError

    _check_command(tokens)
    _load_whole()
    app = build()
    try:
        command, bound, injected = app.parse_args(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        hint = "; the program to run comes after --" if tokens[0] == "run" and "--" not in tokens else ""
        raise InputError(_sentence(error) + hint) from None
    _check_given(tokens, bound)
    for name in injected:
        bound.arguments[name] = session
    wants_json = bool(bound.arguments.get("json"))
    try:
        result = command(*bound.args, **bound.kwargs)
        if inspect.isawaitable(result):
            result = _complete(result)
    except SystemExit:
        # The printer of help texts ends the process by itself when their reader has gone.
        raise BrokenPipeError from None
    except (ProviderError, CommandFailed, FixtureError, CacheUnavailable, UsageUnavailable) as error:
        if wants_json:
            session.output.json(as_json(error))
        code = exit_for(error, session.output, debug=session.options.debug)
        return Exit.FAILED if isinstance(error, FixtureError) else code
    return result if isinstance(result, int) else Exit.DONE


def _load_whole() -> None:
    """Load with Ctrl-C held what it would crash in the middle, and what nearly every command needs.

    An interrupt within the import of orjson (3.13) is a segmentation fault.
    """
    import signal

    if not hasattr(signal, "pthread_sigmask"):
        return
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        import orjson  # noqa: F401
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _check_command(tokens: list[str]) -> None:
    """Raise InputError for an unknown command; the parser would import every module to suggest another."""
    word, *rest = tokens
    if word.startswith("-"):
        raise InputError(f"there is no option {word!r} before a command; `sandbox --help` lists the commands")
    names = dict.fromkeys(name.partition(" ")[0] for name, *_ in COMMANDS)
    if word not in names:
        hint = did_you_mean(word, names)
        raise InputError(f"there is no command {word!r}: {hint}`sandbox --help` lists the commands")
    while word in GROUPS and rest and not rest[0].startswith("-"):
        inner = (name.removeprefix(f"{word} ") for name, *_ in COMMANDS if name.startswith(f"{word} "))
        members = list(dict.fromkeys(name.partition(" ")[0] for name in inner))
        if rest[0] not in members:
            hint = did_you_mean(rest[0], members)
            raise InputError(f"there is no command '{word} {rest[0]}': {hint}there are {', '.join(members)}")
        word, rest = f"{word} {rest[0]}", rest[1:]


def _check_given(tokens: Sequence[str], bound: inspect.BoundArguments) -> None:
    """Raise InputError for an option or a file that was given nothing, as by a script whose variable is not set."""
    parameters = bound.signature.parameters
    given = tokens[: tokens.index("--")] if "--" in tokens else tokens
    for word, following in zip_longest(given, given[1:], fillvalue="-"):
        option, assigned, value = word.partition("=")
        parameter = parameters.get(option[2:].replace("-", "_"))
        if not option.startswith("--") or option in _MAY_BE_EMPTY:
            continue
        if not assigned and parameter is not None and isinstance(parameter.default, bool):
            continue
        if not (value if assigned else following).strip():
            raise InputError(f"{option} is empty; give it a value, or leave it out")
    if "" in tokens and any(isinstance(one, Path) and one == Path() for one in _flat(bound.arguments.values())):
        # To Python it is the folder one is in.
        raise InputError("an argument is empty where a file is to be named")


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        yield from value if isinstance(value, (list, tuple)) else [value]


def _complete(awaitable: Any) -> Any:
    """Run to the end; Ctrl-C cancels the work, so that connections are closed, and then interrupts."""
    import asyncio

    async def main() -> Any:
        return await awaitable

    with asyncio.Runner() as runner:
        return runner.run(main())


def _sentence(error: CycloptsError) -> str:
    """The parser's complaint as one sentence."""
    from cyclopts.exceptions import UnusedCliTokensError

    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return f"unexpected argument {error.unused_tokens[0]!r}; a text of several words is quoted"
    text = " ".join(str(error).split()).rstrip(".")
    return f"{text[:1].lower()}{text[1:]}"
