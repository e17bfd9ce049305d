"""The conformance table, made of the cells and of what is known not to apply."""

from pathlib import Path

from tests.llm.conformance.bench import KINDS
from tests.llm.conformance.cells import ROWS

PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"

_HEAD = """\
# Conformance

What each way to a model does, by the tests of `tests/llm/conformance`: every "yes" is a test
over HTTP against a fake provider that refuses what the real one refuses. Do not edit this page;
after a change, `python -m tests.llm.conformance` writes it anew, and a test holds it to that.
"""

_SAYS_NOTHING = "its models keep their reasoning to themselves"
_CACHES = "it caches prompts by itself"
_TEXT_ONLY = "its models read text only"

NOT_APPLICABLE: dict[tuple[str, str], str] = {
    ("openai", "reasoning round trip"): _SAYS_NOTHING,
    ("azure", "reasoning round trip"): _SAYS_NOTHING,
    ("groq", "images"): _TEXT_ONLY,
    ("deepseek", "images"): _TEXT_ONLY,
    ("groq", "refused message"): _TEXT_ONLY,
    ("deepseek", "refused message"): _TEXT_ONLY,
} | {(name, "cache markers"): _CACHES for name in KINDS if name not in ("anthropic", "bedrock")}
"""Cells that cannot be, and why."""

NOT_YET: dict[tuple[str, str], str] = {}
"""Cells that fail, and why."""


def cells() -> list[tuple[str, str]]:
    """Column and row of every cell that is tested."""
    return [(name, row) for name in KINDS for row in ROWS if (name, row) not in NOT_APPLICABLE]


def page() -> str:
    """The page of the documentation."""
    reasons = list(dict.fromkeys([*NOT_APPLICABLE.values(), *NOT_YET.values()]))
    titles = [kind.title for kind in KINDS.values()]
    lines = [
        "| | " + " | ".join(titles) + " |",
        "|---|" + "---|" * len(titles),
    ]
    for row in ROWS:
        marks = [_mark(name, row, reasons) for name in KINDS]
        lines.append(f"| {row} | " + " | ".join(marks) + " |")
    notes = [f"[^{n}]: {reason[0].upper()}{reason[1:]}." for n, reason in enumerate(reasons, 1)]
    return "\n".join([_HEAD, *lines, "", *notes, ""])


def _mark(name: str, row: str, reasons: list[str]) -> str:
    cell = (name, row)
    if reason := NOT_APPLICABLE.get(cell) or NOT_YET.get(cell):
        return f"{'–' if cell in NOT_APPLICABLE else 'no'} [^{reasons.index(reason) + 1}]"
    return "yes"
