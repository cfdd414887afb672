"""Cache, usage records and what is shared, as the Health room draws them: as a card, as a row, and at length. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.backends import StoreHealth
from sandbox.core.figures import dollars, duration_ms, size
from sandbox.costs.rates import cache_hit_rate
from sandbox.desks.places import Kept
from sandbox.sharing import SharedHealth
from sandbox.tui.health.boxes import ends, fitted
from sandbox.tui.health.entries import LABEL, STATE, fact, seconds
from sandbox.tui.pieces import BAD, DOT, GOOD, MUTED, NAME, PLAIN, SHAPES, WARN, Line

NAMES = {"cache": "cache", "usage": "usage records"}


@dataclass(frozen=True, slots=True)
class StoreEntry:
    health: StoreHealth
    kept: Kept
    now_us: int

    @property
    def id(self) -> str:
        return self.health.part

    @property
    def words(self) -> str:
        health = self.health
        return f"store {self.id} {NAMES[self.id]} {health.backend} {health.place} {health.problem or ''}".lower()

    @property
    def trouble(self) -> str:
        spool = self.health.spool
        return self.health.problem or (spool.problem or "" if spool is not None else "")

    def title(self) -> Line:
        return [(NAMES[self.id], NAME), (f" {self.health.backend}", MUTED)]

    def state(self, *, full: bool = False) -> Line:
        if self.health.backend == "off":
            return [(f"{SHAPES['open']} ", MUTED), ("off", MUTED)]
        if self.health.problem is not None:
            return [(f"{SHAPES['open']} ", BAD), ("in trouble", BAD)]
        if self.trouble:
            return [(f"{SHAPES['half_open']} ", WARN), ("waits", WARN)]
        return [(f"{SHAPES['closed']} ", GOOD), ("works", PLAIN)]

    def _facts(self) -> list[Line]:
        return self._of_cache() if self.id == "cache" else self._of_usage()

    def _of_cache(self) -> list[Line]:
        kept, today = self.kept, self.kept.today
        if self.health.backend == "off":
            return [[("nothing is kept: b switches", MUTED)]]
        lines: list[Line] = []
        if kept.cache_bytes is not None:
            limit = f" of {size(kept.cache_limit)}" if kept.cache_limit else ""
            lines.append(fact("kept", (size(kept.cache_bytes) + limit, PLAIN)))
        if today is None or not today.requests:
            return [*lines, fact("hits", ("no request today", MUTED))]
        hits = f"{cache_hit_rate(today):.1f} %{DOT}{today.cached:,} of {today.requests:,} today"
        saved = f"{dollars(today.saved_usd, simulated=kept.simulated)} today"
        return [*lines, fact("hits", (hits, PLAIN)), fact("saved", (saved, GOOD if today.saved_usd else PLAIN))]

    def _of_usage(self) -> list[Line]:
        health, spool = self.health, self.health.spool
        if health.backend == "off":
            return [[("nothing is recorded", MUTED)]]
        pending = f"{health.pending:,} not committed yet" if health.pending else "all committed"
        lines = [fact("records", (pending, WARN if health.pending else PLAIN))]
        today = self.kept.today
        if today is not None:
            lines.append(fact("today", (f"{today.requests:,} request{'' if today.requests == 1 else 's'}", PLAIN)))
        if spool is None:
            return lines
        oldest = ""
        if spool.oldest_us is not None:
            oldest = f"{DOT}oldest {seconds(max(0, self.now_us - spool.oldest_us) / 1e6)}"
        depth = f"{spool.depth:,} wait{oldest}" if spool.depth else "empty"
        lines.append(fact("spool", (depth, WARN if spool.depth else PLAIN)))
        filled = f"{spool.sent:,} sent{DOT}{size(spool.bytes)} of {size(spool.limit_bytes)}"
        lines.append(fact("", (filled, MUTED), *([(f"{DOT}{spool.lost:,} lost", BAD)] if spool.lost else [])))
        return lines

    @property
    def height(self) -> int:
        return len(self.body(LABEL))

    def body(self, width: int) -> list[Line]:
        lines = [ends([(self.health.place, MUTED)], [], width), *self._facts()]
        return [*lines, [(self.trouble, BAD)]] if self.trouble else lines

    def row(self, width: int, name: int) -> Line:
        told = (
            [self.trouble] if self.trouble else ["".join(text for text, _ in line[1:]) for line in self._facts()[-2:]]
        )
        state = fitted([*self.state(), (f" {self.health.backend}", MUTED)], STATE + 5 if width >= 60 else STATE)
        left = [*fitted([(NAMES[self.id], NAME)], name + 1), *state]
        return fitted([*left, (DOT.join(filter(None, told)), BAD if self.trouble else MUTED)], width)

    def detail(self, width: int) -> list[Line]:
        lines: list[Line] = [[*self.state()], fact("where", (f"{self.health.backend}: {self.health.place}", PLAIN))]
        lines += self._facts()
        spool = self.health.spool
        if self.trouble:
            since = (
                ""
                if spool is None or spool.problem_since_us is None
                else (f"{DOT}for {seconds(max(0, self.now_us - spool.problem_since_us) / 1e6)}")
            )
            lines.append([(f"{self.trouble}{since}", BAD)])
        if spool is not None:
            lines.append(fact("", (f"on this disk: {spool.path}", MUTED)))
        return [*lines, [(f"{' ' * LABEL}b switches to the other place, after trying it out", MUTED)]]


@dataclass(frozen=True, slots=True)
class SharedEntry:
    """The Redis server through which processes share breakers, turns and budgets."""

    health: SharedHealth
    id: str = "shared"

    @property
    def words(self) -> str:
        return f"store shared state redis {self.health.place} {self.health.problem or ''}".lower()

    def title(self) -> Line:
        return [("shared state", NAME), (" redis", MUTED)]

    def state(self, *, full: bool = False) -> Line:
        if self.health.problem is not None:
            return [(f"{SHAPES['open']} ", BAD), ("alone", BAD)]
        return [(f"{SHAPES['closed']} ", GOOD), ("works", PLAIN)]

    @property
    def height(self) -> int:
        return len(self.body(LABEL))

    def body(self, width: int) -> list[Line]:
        health = self.health
        lines: list[Line] = [ends([(health.place, MUTED)], [], width)]
        if health.problem is not None:
            return [*lines, [(health.problem, BAD)]]
        took = "" if health.latency_ms is None else f"{DOT}{duration_ms(health.latency_ms)}"
        return [*lines, fact("server", (f"{health.server}{took}", PLAIN)), fact("as", (health.user, PLAIN))]

    def row(self, width: int, name: int) -> Line:
        health = self.health
        state = fitted(self.state(), STATE)
        told = health.problem or health.place
        return fitted(
            [*fitted([("shared state", NAME)], name + 1), *state, (told, BAD if health.problem else MUTED)], width
        )

    def detail(self, width: int) -> list[Line]:
        lines = [self.state(), *self.body(width)]
        told = "breakers, whose turn it is, and what of each budget is used: the same for all processes of that server"
        if self.health.problem is not None:
            told = "This process goes on with breakers and budgets of its own until the server is back."
        return [*lines, fact("shared", (told, MUTED))]
