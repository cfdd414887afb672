"""Reads a configuration of LiteLLM's proxy into settings.

What is the same is taken, what is nearly the same is taken and told, and what has no equivalent is told. The semantics
compared with are those of LiteLLM 1.109 (docs.litellm.ai, "router/learn/reliability"; cooldowns as in
`sandbox.scenarios.peers.litellm`, which plays them exactly).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from providers.errors import ConfigError
from sandbox.core.yaml_source import Place, Source, parse, read_text
from sandbox.settings.importing.deployments import Deployment, deployments
from sandbox.settings.importing.notes import Imported
from sandbox.settings.importing.rules import limits, other_sections, retries_and_cooldowns, strategy_of

_FALLBACKS: Final = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "default_fallbacks")


def read(path: Path) -> Imported:
    """What the file says. Raises ConfigError, naming file and line, for a file that is no such configuration."""
    source = parse(read_text(path, what="a configuration", complaint=ConfigError), path, complaint=ConfigError)
    if not isinstance(source.data, dict):
        raise source.error("is no configuration of LiteLLM: it begins with `model_list:`")
    found = Imported(source)
    listed = deployments(found)
    if not listed:
        raise source.error("has no model whose provider could be asked here", "model_list")
    groups: dict[str, list[Deployment]] = {}
    for one in listed:
        groups.setdefault(one.group, []).append(one)
    after = _fallbacks(found, groups)
    _order(found, groups, after)
    retries_and_cooldowns(found, several=any(len(one) > 1 for one in groups.values()))
    limits(found)
    other_sections(found)
    return found


def _sections(source: Source) -> Iterator[tuple[str, dict[str, Any]]]:
    """The two sections that may say the same: the router's own goes first."""
    for name in ("router_settings", "litellm_settings"):
        section = source.data.get(name)
        if isinstance(section, dict):
            yield name, section


def _fallbacks(found: Imported, groups: dict[str, list[Deployment]]) -> dict[str, list[Deployment]]:
    """Who is asked after each group, in order."""
    after: dict[str, list[Deployment]] = {name: [] for name in groups}
    last: list[str] = []
    for section, values in _sections(found.source):
        for kind in _FALLBACKS:
            if kind not in values or values[kind] is None:
                continue
            place: Place = (section, kind)
            if kind == "default_fallbacks":
                last = _names(found.source, values[kind], place)
                found.note("taken", place, "asked after each group and its own fallbacks", ("routes",))
            elif kind == "context_window_fallbacks":
                found.note(
                    "near", place, "a prompt that is too long goes on to whoever of its route has a larger window",
                    ("routes",),
                )  # fmt: skip
                _add(found, after, groups, values[kind], place)
            elif kind == "content_policy_fallbacks":
                found.put(
                    ("failover_on_content_filter",), True, place,
                    "after a refusal the next of the route is asked, whichever it is", outcome="near",
                )  # fmt: skip
                _add(found, after, groups, values[kind], place)
            else:
                found.note("taken", place, "in the routes of their groups", ("routes",))
                _add(found, after, groups, values[kind], place)
    for name in groups:
        for other in last:
            after[name] += [one for one in groups.get(other, ()) if one not in after[name] and one.group != name]
    return after


def _add(
    found: Imported, after: dict[str, list[Deployment]], groups: dict[str, list[Deployment]], listed: Any, place: Place
) -> None:
    source = found.source
    if not isinstance(listed, list):
        raise source.error("must be a list such as [{gpt-4o: [claude-sonnet]}]", *place)
    for index, pair in enumerate(listed):
        if not isinstance(pair, dict):
            raise source.error("must be a group and its fallbacks, such as {gpt-4o: [claude-sonnet]}", *place, index)
        for name, others in pair.items():
            where: Place = (*place, index, str(name))
            names = _names(source, others, where)
            if name not in groups and name != "*":
                found.note("none", where, "no model that can be asked here has this name")
                continue
            for other in names:
                if other not in groups:
                    found.note("none", where, f"{other} is no model that can be asked here")
                for group in groups if name == "*" else [str(name)]:
                    new = [one for one in groups.get(other, ()) if one.group != group and one not in after[group]]
                    after[group] += new


def _names(source: Source, value: Any, place: Place) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise source.error("must be a list of model names; settings of a single fallback are not read", *place)
    return value


def _order(found: Imported, groups: dict[str, list[Deployment]], after: dict[str, list[Deployment]]) -> None:
    """The chain, the routes and how their members are ordered."""
    first = next(iter(groups))
    shared = any(len(one) > 1 for one in groups.values())
    strategy = strategy_of(found, groups) if shared else None
    if not shared:
        for section, values in _sections(found.source):
            if "routing_strategy" in values:
                text = "no group has several members, so there is nothing to choose among"
                found.note("near", (section, "routing_strategy"), text)
    chain = _once([*groups[first], *after[first], *(one for members in groups.values() for one in members)])
    place: Place = ("model_list",)
    found.put(("chain",), [one.id for one in chain], place, f"for requests that name no model: {first} first")
    if strategy is not None and len(groups[first]) > 1:
        found.put(("strategy",), strategy, place, "for requests that name no model")
    for name, members in groups.items():
        asked = [one.name for one in _once([*members, *after[name]]) if one.model is not None]
        if members[0].model is None or not asked:
            continue
        route: dict[str, Any] = {"models": asked}
        if strategy is not None and len(members) > 1:
            route["strategy"] = strategy
        found.put(("routes", name), route, members[0].place)
    if strategy is not None:
        _last(found, groups, after, strategy)
    _aliases(found, groups)


def _last(
    found: Imported, groups: dict[str, list[Deployment]], after: dict[str, list[Deployment]], strategy: str
) -> None:
    """Keep fallbacks behind the group that they stand in for, where a strategy orders its route."""
    for name, members in groups.items():
        if len(members) < 2:
            continue
        for one in after[name]:
            if strategy == "weighted" and len(groups[one.group]) == 1:
                # A weight of 0 goes last.
                found.put(("providers", one.id, "weight"), 0, one.place, "a fallback has no share of the first tries")
            else:
                text = f"the strategy lets it have first tries of {name} too, of which it is a fallback"
                found.note("near", one.place, text, ("routes", name))


def _aliases(found: Imported, groups: dict[str, list[Deployment]]) -> None:
    for section, values in _sections(found.source):
        aliases = values.get("model_group_alias")
        if not isinstance(aliases, dict):
            continue
        for alias, of in aliases.items():
            target = of.get("model") if isinstance(of, dict) else of
            place: Place = (section, "model_group_alias", str(alias))
            known = isinstance(target, str) and target in found.settings.get("routes", {})
            if known and alias not in groups:
                found.put(("routes", str(alias)), found.settings["routes"][target], place)
            else:
                found.note("none", place, "no model that can be asked here has this name")


def _once(listed: Sequence[Deployment]) -> list[Deployment]:
    return list(dict.fromkeys(listed))
