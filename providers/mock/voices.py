"""How each provider sounds when it is simulated: different enough that a failover can be read in the answer itself.

`{a}` is what the prompt is about and `{b}` its second matter; the capitals begin a sentence. The sentences avoid verbs
that would have to agree with either. Every voice has seven middle sentences, a prime, so that any stride visits all.
"""

from __future__ import annotations

from typing import NamedTuple


class Voice(NamedTuple):
    openings: tuple[str, ...]
    middles: tuple[str, ...]
    closings: tuple[str, ...]


_OPENAI = Voice(
    (
        "In short: with {a}, the art lies in knowing when to stop.",
        "Here is the core idea behind {a}.",
        "Let's take {a} one step at a time.",
        "The quickest way into {a} is a concrete example.",
    ),
    (
        "First, name what {a} must never break; everything else can be negotiated.",
        "Second, decide who notices when something slips, because unnoticed trouble compounds.",
        "For {b}, that means a clear signal, a short pause and one careful second try.",
        "Most of the value of {a} is in the boring cases, where nothing dramatic happens at all.",
        "A small experiment tells you more about {a} than a long plan does.",
        "Keep the number of moving parts low, and write down why each of them exists.",
        "Where two explanations of {a} fit, prefer the one you can test before lunch.",
    ),
    (
        "Start there, measure, and adjust.",
        "That is enough to act on today.",
        "Happy to go deeper on any of these points.",
    ),
)

_AZURE_OPENAI = Voice(
    (
        "At a high level, {a} can be described in three parts: scope, control and review.",
        "For the team in charge, any talk of {a} begins with ownership.",
        "A practical summary of {a} follows.",
    ),
    (
        "Scope comes first: agree on what {a} should cover and, just as plainly, on what to leave out.",
        "Put one named owner on {a}, with a deputy for the weeks when the owner is away.",
        "Controls should be visible to {b}, or they will be worked around within a quarter.",
        "Review {a} on a fixed date rather than after an incident, when tempers are short.",
        "Document the default path; exceptions to {a} are cheap to allow and expensive to forget.",
        "Where regulation applies, keep the evidence next to the decision, not in a separate archive.",
        "Roll {a} out to one region first, watch for a week, and only then widen the circle.",
    ),
    (
        "This approach scales from a pilot to production without a redesign.",
        "With those pieces in place, {a} will soon be routine.",
        "Adapt the details to your own policies.",
    ),
)

_ANTHROPIC = Voice(
    (
        "I find it helps to begin with what {a} can protect, rather than with the mechanics.",
        "There is a gentle way to think about {a}, and it starts with something ordinary.",
        "{A} will reward a little patience, so let me go slowly.",
        "Perhaps the most honest way to approach {a} is to talk about limits first.",
    ),
    (
        "Picture a host who quietly stops pouring before anyone has had too much; there is something of that in {a}.",
        "What looks like refusal is often care: by holding back now, {a} can leave room to recover later.",
        "For {b}, the difference shows up not on the calm days but on the one evening when everything arrives at once.",
        'I would be careful with the word "failure" here, since a well-timed pause is closer to good judgment.',
        "There is a trade-off, though: too cautious, and {a} will stand in the way; too bold, and nothing is safe.",
        "You can usually tell that all is well with {a} because nobody has to talk about it.",
        "It is worth asking who carries the cost of {a} on a bad day, and whether they had any say.",
    ),
    (
        "I may be simplifying, but I think the heart of it survives.",
        "If it would help, I can try the same thought with a different picture.",
        "That, at least, is how I would explain it to a friend.",
    ),
)

_BEDROCK = Voice(
    (
        "Consider {a} as a foundation that other things stand on.",
        "{A} can be explained from the ground up.",
        "Below is a compact account of {a}.",
    ),
    (
        "The base layer of {a} is isolation: one part may fail without taking its neighbours along.",
        "Above that sits elasticity, so that {a} can grow and shrink with demand.",
        "For {b}, durability matters more than speed, and the design of {a} reflects that order.",
        "Plan {a} as if a whole region might disappear, because on some Tuesday it will.",
        "Pay only for the share of {a} that is in use, and switch the rest off.",
        "Permissions around {a} should begin at nothing and be widened one request at a time.",
        "Keep a second path ready, and exercise it often enough that nobody is surprised by it.",
    ),
    (
        "Built that way, {a} will hold under load.",
        "The result is dull in the best sense.",
        "Each layer can then be replaced by itself.",
    ),
)

_DEEPSEEK = Voice(
    (
        "Let us derive {a} from first principles.",
        "Define the problem: what should {a} minimise, and under which constraint?",
        "Consider the simplest non-trivial case of {a}.",
    ),
    (
        "Suppose every attempt costs one unit; then {a} can be read as a rule for spending a finite budget.",
        "Without such a rule the expected cost grows with each retry, while the chance of success does not.",
        "Applied to {b}, the same inequality holds with different constants.",
        "The threshold matters less than the recovery time, which dominates once load is high.",
        "A counterexample exists when failures are independent: there, nothing is gained by {a}.",
        "It follows that {a} should react to the rate of failures, not to any single one.",
        "The boundary case, exactly one failure, shows why there can be no {a} without memory.",
    ),
    (
        "Hence the design is optimal up to a constant factor.",
        "This completes the argument.",
        "The remaining cases are analogous.",
    ),
)

_GEMINI = Voice(
    (
        "Great topic! {A} will touch more everyday life than you might expect.",
        "Here is a quick tour of {a}.",
        "Think of {a} from three angles: what, why and how.",
    ),
    (
        "**What:** a simple agreement about {a}, made before things get busy.",
        "**Why:** because {b} cannot watch every dial at the same time.",
        "**How:** notice early, pause briefly, then test the water with a single toe.",
        "You will meet {a} in kitchens, in power grids and in the traffic lights on your way home.",
        "A picture says it faster: imagine a drawbridge that lifts itself before the flood arrives.",
        "Try explaining {a} to a neighbour; the parts you stumble over are the parts to look up.",
        "Across many sources, the advice on {a} is surprisingly consistent.",
    ),
    (
        "Want a diagram or a checklist next?",
        "And that is {a} in a nutshell.",
        "Have fun exploring it further!",
    ),
)

_VLLM = Voice(
    (
        "{A}: key facts.",
        "Summary of {a} as requested.",
        "The following points describe {a}.",
    ),
    (
        "Purpose: keep the rest responsive while one part of {a} is slow.",
        "Method: count recent failures, compare with a limit, stop early.",
        "Effect on {b}: shorter waits, fewer surprises, steadier throughput.",
        "Cost: a little bookkeeping for {a}, almost nothing at run time.",
        "Tuning: begin with a small limit for {a} and raise it while the error rate stays flat.",
        "Risk: a limit that is too low turns noise into outages.",
        "Check: replay yesterday's load against {a} and look at the slowest percent.",
    ),
    (
        "End of summary.",
        "These settings suit most workloads.",
        "Values may need adjustment for your hardware.",
    ),
)

_OLLAMA = Voice(
    (
        "Sure! Here's how I'd put {a}, in plain words.",
        "Okay, so {a}. Nothing fancy needed.",
        "Good one. Running right here on your machine, my take on {a} is this.",
    ),
    (
        "You keep an eye on {a}, and at the first sign of trouble you step back for a bit.",
        "Nobody likes waiting, {b} least of all, so giving up early is kinder than hoping.",
        "After a while you knock once, gently, and see if anyone answers.",
        "If it works, carry on as though nothing had happened; if not, shut the door again.",
        "It's a lot like a tripped fuse next to the toaster, only for {a}.",
        "The trick with {a} is not being clever, it's being consistent.",
        "Honestly, half the job with {a} is just remembering what went wrong last time.",
    ),
    (
        "That's really all there is to it.",
        "Hope that helps!",
        "Ask me again if any of it sounds off.",
    ),
)

_MOCK = Voice(
    (
        "This is a simulated answer about {a}.",
        "No model was asked; here is made-up text about {a}.",
        "A placeholder with the shape of a real answer about {a}.",
    ),
    (
        "It mentions {a} so that you can see which question it belongs to.",
        "It is the same every time for the same question, which makes it easy to compare.",
        "It would mention {b} as well, if anyone had an opinion about that.",
        "Its tokens are counted and its stream has a rhythm, as with a real provider.",
        "Nothing about {a} left this machine.",
        "Its length is typical, its content is not advice.",
        "Anything said here about {a} was chosen by a hash.",
    ),
    (
        "End of the simulated answer.",
        "Switch to a real provider for a real one.",
        "The rest is up to your imagination.",
    ),
)

VOICES: dict[str, Voice] = {
    "openai": _OPENAI,
    "azure_openai": _AZURE_OPENAI,
    "anthropic": _ANTHROPIC,
    "bedrock": _BEDROCK,
    "deepseek": _DEEPSEEK,
    "gemini": _GEMINI,
    "vllm": _VLLM,
    "ollama": _OLLAMA,
    "mock": _MOCK,
}
