"""What refusals have taught of a model, beside what its name tells."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

from o.llm.requests.capabilities import NINE_IDS, OPTIONAL, WORD_IDS, Capabilities

PLAIN = "plain"
"""Roles in turn and one system message."""

IDS = "ids of letters and digits, each once"
"""Some models read names out of the ids that they gave, so theirs go back unless refused."""

NO_SYSTEM = "no system messages"
NO_IMAGES = "no images"
SIGNED = "calls are signed"
IN_WORDS = "calls in words"
NO_CALLS = "no calls without tools"
NINE = "ids of nine characters"
NO_NULL = "no null for content"
NO_STREAMS = "no streams"
ONLY_STREAMS = "nothing but streams"
WANTS_THOUGHTS = "thoughts with calls"
PLAIN_SCHEMAS = "plain schemas"
MOST_IMAGES = "at most images: "
MOST_TOOLS = "at most tools: "
FIELD = "without "
MESSAGE_FIELD = "messages without "
SCHEMA_WORD = "schemas without "
CALLED = "the longest reply is called "


@lru_cache(maxsize=1024)
def with_lessons(takes: Capabilities, lessons: frozenset[str]) -> Capabilities:
    """What a model can be told, all in all. Lessons of a later release are left alone."""
    for lesson in sorted(lessons):
        takes = _with(takes, lesson)
    return takes


_CHANGES: dict[str, dict[str, Any]] = {
    IDS: {"call_ids": WORD_IDS, "call_id_chars": 40, "unique_ids": True},
    NO_SYSTEM: {"system": "nowhere", "alternates": True},
    NO_IMAGES: {"images": False},
    NO_NULL: {"null_content": False},
    NO_STREAMS: {"streams": False},
    ONLY_STREAMS: {"only_streams": True},
    WANTS_THOUGHTS: {"wants_thoughts": True},
    SIGNED: {"signs_calls": True},
    IN_WORDS: {"calls_in_words": True},
    PLAIN_SCHEMAS: {"plain_schemas": True},
    NO_CALLS: {"calls_without_tools": False},
    NINE: {"call_ids": NINE_IDS, "call_id_chars": 9},
    f"{CALLED}max_tokens": {"max_tokens": "max_tokens"},
    f"{CALLED}max_completion_tokens": {"max_tokens": "max_completion_tokens"},
}


def _with(takes: Capabilities, lesson: str) -> Capabilities:
    if lesson == PLAIN:
        return _plain(takes)
    if lesson == IDS and takes.call_ids is not None:
        return takes
    if lesson.startswith(FIELD):
        return takes.without(lesson.removeprefix(FIELD))
    if lesson.startswith(MESSAGE_FIELD):
        return takes.without_in_messages(lesson.removeprefix(MESSAGE_FIELD))
    return replace(takes, **_with_value(takes, lesson) or _CHANGES.get(lesson, {}))


def _with_value(takes: Capabilities, lesson: str) -> dict[str, Any]:
    """What a lesson changes that has a number or a word in it; empty for others."""
    if lesson.startswith(MOST_IMAGES):
        return {"most_images": _least(lesson.removeprefix(MOST_IMAGES), takes.most_images)}
    if lesson.startswith(MOST_TOOLS):
        return {"most_tools": _least(lesson.removeprefix(MOST_TOOLS), takes.most_tools)}
    if lesson.startswith(SCHEMA_WORD):
        word = lesson.removeprefix(SCHEMA_WORD)
        return {"left_out_of_schemas": takes.left_out_of_schemas | {word}}
    return {}


def _least(most: str, known: int | None) -> int:
    """The smaller one of two bounds, of which the second may not be known."""
    return int(most) if known is None else min(int(most), known)


def _plain(takes: Capabilities) -> Capabilities:
    system = "head" if takes.system == "anywhere" else takes.system
    takes = replace(takes, alternates=True, user_first=True, system=system, null_content=False)
    return takes.without_in_messages("name")


def bare(takes: Capabilities) -> Capabilities:
    """Plain, and without anything that a request can do without, and without images."""
    takes = replace(_with(_plain(takes), IDS), images=False, plain_schemas=True)
    return takes.without(*OPTIONAL)
