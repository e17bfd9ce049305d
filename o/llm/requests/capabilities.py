"""What a model can be told: of its provider, of its family, and of what it has refused before."""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from o.llm.providers.provider_types import OPENAI_HOST

SAMPLING = frozenset({"temperature", "top_p", "frequency_penalty", "presence_penalty"})
"""Settings of chance, in the words of the OpenAI wire."""

SEALED_THOUGHTS = "include"
"""The field by which the responses wire is asked for encrypted reasoning."""

OPTIONAL = SAMPLING | {
    "max_tokens",
    "max_completion_tokens",
    "parallel_tool_calls",
    "reasoning_effort",
    "response_format",
    "stream_options",
    "thinking",
    "tool_choice",
}
"""Fields of a request that it can do without, in the words of the OpenAI wire."""

WORD_IDS = re.compile(r"[A-Za-z0-9_-]+")
NINE_IDS = re.compile(r"[A-Za-z0-9]{9}")
"""What ids of tool calls must look like, at some; the second is Mistral's."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Capabilities:
    """What a request may hold. The defaults are what OpenAI's own models take.

    Attributes:
        alternates: Users and the assistant must take turns, the user first; calls and their
            returns belong to the assistant's turn.
        user_first: The user must speak first.
        system: Where system messages may stand: anywhere, one at the head only, or nowhere.
        images: Whether users may show images.
        images_in_returns: Whether tools may.
        most_images: How many images a request may show, None for any number; the newest ones are.
        image_addresses: How the addresses begin that the provider fetches images from.
        call_ids: What the whole id of a tool call must look like; None for anything.
        call_id_chars: How long it may be.
        unique_ids: Whether one id must not come twice.
        null_content: Whether a message that only calls tools may say null.
        blank_content: Whether it may say an empty text instead.
        signs_calls: Whether Google's word for a missing signature is put to calls of a reply that
            has none.
        calls_in_words: Whether calls and their returns are told in words.
        calls_without_tools: Whether history may hold calls when no tools are offered.
        streams: Whether a reply may be asked for as a stream.
        only_streams: Whether it must be.
        left_out: Fields of a request that are refused (of `OPTIONAL`, or `SEALED_THOUGHTS`).
        left_out_of_messages: Fields of a message that are refused.
        left_out_of_schemas: Words of JSON Schema that are refused in the schemas of tools.
        plain_schemas: Whether these say no more than every provider takes.
        most_tools: How many tools may be offered, None for any number; the first ones are.
        max_tokens: What the bound of a reply is called.
        thinks_by: How it is told how much to think: by OpenAI's effort, Anthropic's budget,
            Google's configuration, Z.ai's switch, or not at all.
        wants_thoughts: Whether every reply of a turn with calls must say what was thought.
    """

    alternates: bool = False
    user_first: bool = False
    system: Literal["anywhere", "head", "nowhere"] = "anywhere"
    images: bool = True
    images_in_returns: bool = False
    most_images: int | None = None
    image_addresses: tuple[str, ...] = ("http://", "https://")
    call_ids: re.Pattern[str] | None = None
    call_id_chars: int = 16_384
    unique_ids: bool = False
    null_content: bool = True
    blank_content: bool = True
    signs_calls: bool = False
    calls_in_words: bool = False
    calls_without_tools: bool = True
    streams: bool = True
    only_streams: bool = False
    left_out: frozenset[str] = frozenset()
    left_out_of_messages: frozenset[str] = frozenset()
    left_out_of_schemas: frozenset[str] = frozenset()
    plain_schemas: bool = False
    most_tools: int | None = None
    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    thinks_by: Literal["", "effort", "budget", "config", "switch"] = ""
    wants_thoughts: bool = False

    def takes_name(self, name: str) -> bool:
        """Whether a tool may be called so: what is taken by every provider."""
        return _NAME.fullmatch(name) is not None

    def takes_id(self, id_: str) -> bool:
        """Whether a tool call may have this id."""
        if not id_ or len(id_) > self.call_id_chars:
            return False
        return self.call_ids is None or self.call_ids.fullmatch(id_) is not None

    def without(self, *fields: str) -> "Capabilities":
        """The same, with these fields of a request left out too."""
        return replace(self, left_out=self.left_out.union(fields))

    def without_in_messages(self, *fields: str) -> "Capabilities":
        """The same, with these fields of messages left out too."""
        return replace(self, left_out_of_messages=self.left_out_of_messages.union(fields))


_OF_OTHERS = ("thinking_blocks",)  # what only Anthropic's models read, …
_READ_THINKING = ("anthropic", "bedrock", "gemini")  # … or litellm translates
_THOUGHTS = ("reasoning_content", "reasoning")  # what litellm makes something else of
_WANT_THOUGHTS = ("deepseek.com", "moonshot.", "kimi.com")
_GOOGLE_HOST = "googleapis.com"
_UNSIGNED = re.compile(r"gemini-[12][.-]|gemma")

_ANTHROPIC: dict[str, object] = {
    "user_first": True,
    "system": "head",  # litellm would say of others, in the user's name, that they are not its
    "images_in_returns": True,
    "call_ids": WORD_IDS,
    "call_id_chars": 64,
    "unique_ids": True,
    "calls_without_tools": False,
}
_GEMINI: dict[str, object] = {
    "user_first": True,
    "image_addresses": (),
    "blank_content": False,
}
_MISTRAL: dict[str, object] = {
    "alternates": True,
    "system": "head",
    "call_ids": NINE_IDS,
    "call_id_chars": 9,
}

# By V1's `provider_type` or by the wire. Where litellm spells the request the user speaks first:
# else it has the user say sentences of its own.
_BY_PROVIDER: dict[str, dict[str, object]] = {
    "anthropic": _ANTHROPIC | {"thinks_by": "budget", "image_addresses": ("https://",)},
    "bedrock": _ANTHROPIC | {"image_addresses": ()},
    "gemini": _GEMINI | {"thinks_by": "config"},
    "google_ai": _GEMINI,
    "google_vertex": _GEMINI,
    "ollama": {"image_addresses": (), "images_in_returns": True},
    "mistral": _MISTRAL,
    "deepseek": {"images": False, "wants_thoughts": True},
    "zai": {"thinks_by": "switch"},
}

_ALTERNATE: dict[str, object] = {"alternates": True}

# By the last part of the model's id: gateways and local servers put others before it. What a
# template refuses is so wherever the model runs.
_BY_FAMILY: list[tuple[re.Pattern[str], dict[str, object]]] = [
    (re.compile(r"(mi|mini|code|dev|magi)stral|mixtral|pixtral"), _MISTRAL),
    (re.compile(r"(code)?gemma(-?[12])?([:-](?![34])|$)"), _ALTERNATE | {"system": "nowhere"}),
    (re.compile(r"(code|med|tx)?gemma|llama-?2"), _ALTERNATE | {"system": "head"}),
]

# V1 goes by these names, which gateways keep: models of OpenAI's that think first.
_THINKS = re.compile(r"(o[134]|gpt-5)(?![a-z0-9])")
_ONE_CALL = re.compile(r"o[134](?![a-z0-9])")


@lru_cache(maxsize=1024)
def capabilities_of(provider_type: str, wire: str, host: str, model: str) -> Capabilities:
    """What is known of a model before anything is asked.

    Args:
        provider_type: V1's word for the provider.
        wire: How requests to it are spelled.
        host: Of its address.
        model: The model's id there.
    """
    family = model.lower().rpartition("/")[2]
    known: dict[str, object] = {}
    for pattern, habits in _BY_FAMILY:
        if pattern.match(family):
            known |= habits
            break
    known |= _BY_PROVIDER.get(wire, {}) | _BY_PROVIDER.get(provider_type, {})
    found = replace(Capabilities(), **known)  # type: ignore[arg-type]
    found = _of_additions(found, wire, host, family)
    if provider_type == "mistral":
        found = found.without("stream_options").without_in_messages("name")
    if _THINKS.match(family):
        found = replace(found.without(*SAMPLING), thinks_by="effort")
    if _ONE_CALL.match(family):
        found = found.without("parallel_tool_calls")
    if host == OPENAI_HOST or _THINKS.match(family):
        found = replace(found, max_tokens="max_completion_tokens")
    if host == OPENAI_HOST or wire == "azure":
        found = replace(found, call_id_chars=40)
    return found


def _of_additions(takes: Capabilities, wire: str, host: str, family: str) -> Capabilities:
    """What becomes of what providers add to replies."""
    if wire not in _READ_THINKING:
        takes = takes.without_in_messages(*_OF_OTHERS)
    if wire not in ("openai", "ollama"):
        takes = takes.without_in_messages(*_THOUGHTS)
    if wire == "openai" and any(name in host for name in _WANT_THOUGHTS):
        takes = replace(takes, wants_thoughts=True)
    if wire == "openai" and host.endswith(_GOOGLE_HOST) and not _UNSIGNED.match(family):
        takes = replace(takes, signs_calls=True)
    return takes
