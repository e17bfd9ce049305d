"""What a provider's refusal says of the request: which of its fields, or what in its messages."""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from o.errors import Failure, ModelError
from o.llm.failures import BROKEN_OFF
from o.llm.requests import lessons as known
from o.llm.requests.capabilities import OPTIONAL, SEALED_THOUGHTS
from o.llm.requests.fitted import FittedRequest
from o.llm.requests.leaving_out import image_marks
from o.llm.requests.schemas import plain, words_of

# What repeats parts of the request names fields that nobody complains of.
_REPEATED = frozenset({"input", "value", "ctx", "failed_generation", "body", "request", "url"})
_BEHIND = re.compile(
    r"expected (?:one|any) of|\b(?:supported|allowed|known) (?:fields|keys|parameters|values)\b"
    r"|,? value: |'input':|\"input\":",
    re.IGNORECASE,
)
_OF_A_KIND = re.compile(
    r"unsupported|not supported|n't supported|not support|n't support|not permitted|not allowed"
    r"|unrecogni[sz]ed|unknown|unexpected|cannot find field|extraneous|extra_forbidden|extra fields"
    r"|extra inputs|additional propert|only the default|deprecated|not available|unavailable"
    r"|no endpoints found|only \d[\d.]* is (?:allowed|supported)",
    re.IGNORECASE,
)
"""Signs that something is refused always, and not this value of it only."""

_TEMPLATE = re.compile(
    r"jinja|chat template|template error|templateerror|raise_exception|roles must alternate"
    r"|unable to generate parser|minja|image input is not supported|failed to parse messages"
    r"|no endpoints found that (?:can handle|support)|mmproj|parse grammar|schema conversion"
    r"|cannot unmarshal",
    re.IGNORECASE,
)
"""What servers say with 404 or 500 though it is the request that they cannot do with."""

_NO_IMAGES = re.compile(
    r"(?:does|do|did|is|are|can)(?: ?not|n.t) (?:support|accept|process|take)\W+(?:\w+\W+){0,2}?"
    r"(?:images?|vision|multi-?modal)\b(?! (?:type|format|url|media|size))"
    r"|found that support image"
    r"|\b(?:images?|image (?:input|content)s?|image_url|vision|multi-?modal(?: \w+)?)\W+(?:is|are) "
    r"(?:not |currently not |un)(?:supported|enabled|available|allowed)"
    r"|not a (?:multi-?modal|vision)|unknown variant .?image_url|content must be a string|mmproj"
    r"|modalit",
    re.IGNORECASE,
)
"""Signs that a model is shown no image at all: not that this one cannot be read."""

_IMAGES = re.compile(r"image|vision|multi-?modal|modalit|content must be a string", re.IGNORECASE)
_MOST_IMAGES = re.compile(r"at most (\d{1,6}) image", re.IGNORECASE)
_MOST_TOOLS = re.compile(
    r"\btools\b(?!\[|\.\w).{0,80}?(?:maximum (?:length|number)|at most|up to|limit)"
    r"\D{0,20}(\d{1,6})\b"
    r"|(?:at most|maximum(?: of)?|up to|more than|limit of) (\d{1,6}) (?:tools|functions)\b",
    re.IGNORECASE | re.DOTALL,
)
_OF_ONE_TOOL = re.compile(
    r"\b(?:characters?|depth|nest\w*|levels?|names?|descriptions?|schemas?|param\w*|propert\w+)\b",
    re.IGNORECASE,
)
"""What else there is a bound of, near the word tools."""

_NO_SYSTEM = re.compile(
    r"system role (?:is )?not supported|only user and assistant roles"
    r"|support .?system.? with this model|developer instruction is not enabled"
    r"|(?:not|n't) support\w* (?:the )?.?system.? (?:role|message)",
    re.IGNORECASE,
)
_NO_CALLS = re.compile(r"tools=. param|toolconfig field must be defined", re.IGNORECASE)
_NO_STREAMS = re.compile(
    r"verified to stream|stream(?:ing|ed)?\W{1,3}(?:\w+\W+){0,3}not (?:supported|allowed|available)"
    r"|(?:not|n't) support\W+(?:\w+\W+){0,4}?stream(?:ing|ed)?\b(?!_)",
    re.IGNORECASE,
)
_ONLY_STREAMS = re.compile(
    r"only supports? (?:the )?stream|for non-streaming calls"
    r"|non-streaming\W+(?:\w+\W+){0,3}not supp|must have stream ?= ?true"
    r"|stream\W+(?:must|has to) be (?:set to )?.?true",
    re.IGNORECASE,
)
"""DashScope says so of models that think, Fireworks of long replies."""
_SCHEMAS = re.compile(r"schema|tools?\b|function|parameters", re.IGNORECASE)
_OF_SCHEMAS = re.compile(
    r"schema|grammar|function_?declarations|\btools?(?:\[|\.\d|\.function)|moonshot flavored"
    r"|function\.parameters|xgrammar|cannot unmarshal",
    re.IGNORECASE,
)
"""Signs that it is the schema of a tool, whatever is wrong with it."""
_NO_NULL = re.compile(
    r"content\W+(?:\w+\W+){0,8}?(?:valid string|none is not|null|a string|string type|required)"
    r"|missing field .?content",
    re.IGNORECASE,
)
_NO_THOUGHT = re.compile(
    r"reasoning_content\W.{0,80}?(?:must be passed back|is missing|is required)"
    r"|missing\W{1,3}(?:\w+\W+){0,2}?reasoning_content",
    re.IGNORECASE | re.DOTALL,
)
_NINE = re.compile(r"length of 9", re.IGNORECASE)
_ADDITIONS = re.compile(
    r"signature|thinking.{0,3} block|encrypted|reasoning|content and thinking", re.IGNORECASE
)
_NOTHING_SEALED = re.compile(
    r"encrypted[_ ]content (?:is )?not supported|(?:not|n't) support \W?(?:reasoning\.)?encrypted"
    r"|(?:unknown|unsupported|unrecogni[sz]ed)\W+(?:\w+\W+){0,3}?include\b",
    re.IGNORECASE,
)
_NOT_SIGNED = re.compile(r"missing an? .?thought_?signature", re.IGNORECASE)
_NOT_GIVEN_BACK = re.compile(
    r"(?:missing|expected|passed back).{0,60}(?:thinking|reasoning)"
    r"|(?:thinking|reasoning).{0,60}(?:is missing|passed back|start with a thinking)",
    re.IGNORECASE,
)
_PAGE = re.compile(r"\s*<")
"""What a firewall before a provider says of a word in a prompt: it has no JSON."""

_REPLY_IS_COUNTED = re.compile(
    r"max_(?:\w+_)?tokens|(?:in|for) the (?:completion|output)|output tokens",
    re.IGNORECASE,
)
_MAY_BE_MENDED = (Failure.BAD_REQUEST, Failure.CONTENT_FILTER, Failure.CONTEXT_WINDOW)
# What Ollama, llama.cpp, vLLM, OpenRouter and others say of a model or a server that calls none.
_CALLS_NONE = re.compile(
    r"(?:does|do)(?: not|n't) support (?:the use of )?(?:tools|tool use|tool call|function call)"
    r"|tools? (?:use |calling )?(?:is|are) not supported|tools param(?:eter)? requires"
    r"|tool_choice param(?:eter)? requires|unsupported param(?:eter)?s?:? ?.?tools"
    r"|endpoints found that support tool use|requires --enable-auto-tool-choice"
    r"|function calling is not enabled",
    re.IGNORECASE,
)
_BASE_FIELDS = frozenset(
    {"role", "content", "tool_calls", "tool_call_id", "id", "type", "function"}
)
_BOUNDS = ("max_tokens", "max_completion_tokens")
BOUNDS = frozenset(_BOUNDS)
"""What the bound of a reply is called."""


def may_be_mended(error: ModelError) -> bool:
    """Whether a more careful request may be taken where this one was refused."""
    if error.failure in (Failure.NOT_FOUND, Failure.SERVER_ERROR):
        return _TEMPLATE.search(error.detail) is not None
    return error.failure in _MAY_BE_MENDED or is_of_firewall(error)


def may_be_the_prompts(error: ModelError) -> bool:
    """Whether a server that fails each time may do so because of what stands in the prompt."""
    fails = error.failure is Failure.SERVER_ERROR and error.answered in (200, 500)
    return fails and BROKEN_OFF not in error.detail


def is_of_firewall(error: ModelError) -> bool:
    """Whether something before the provider may have found words in the prompt dangerous."""
    return error.failure is Failure.FORBIDDEN and _PAGE.match(error.detail) is not None


def counts_the_reply(error: ModelError) -> bool:
    """Whether a prompt is said to be too long beside the reply that is asked for."""
    return _REPLY_IS_COUNTED.search(error.detail) is not None


def calls_no_tools(error: ModelError) -> bool:
    """Whether a refusal says that the model, or its server, calls no tools at all."""
    kinds = (Failure.BAD_REQUEST, Failure.NOT_FOUND, Failure.SERVER_ERROR)
    said = " ".join(_said(error.detail))
    if _NO_STREAMS.search(said):  # some of Bedrock's call tools, but in no stream
        return False
    return error.failure in kinds and _CALLS_NONE.search(said) is not None


def is_about_schemas(error: ModelError) -> bool:
    """Whether a refusal speaks of the schemas of tools, or of some other schema."""
    return _OF_SCHEMAS.search(" ".join(_said(error.detail))) is not None


def is_about_additions(error: ModelError) -> bool:
    """Whether what a provider has added to replies is not what it wants back."""
    return _ADDITIONS.search(error.detail) is not None


def lessons_of(
    error: ModelError, fitted: FittedRequest, sent: Collection[str], tried: frozenset[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """What the refusal says to do otherwise, by name; empty where it names nothing.

    Args:
        error: The refusal.
        fitted: What was asked.
        sent: Which of `OPTIONAL` it had, and `stream` where it was to be streamed.
        tried: What earlier refusals of this call have said to do.

    Returns:
        What to do now, and what of that to remember: that a value is too large says nothing of
        the next one.
    """
    said = " ".join(_said(error.detail))
    is_of_a_kind = _OF_A_KIND.search(said) is not None
    now, lasting = _about_calls(said, fitted)
    if now:
        return now, lasting
    about_messages = _about_messages(said, fitted)
    if _NOTHING_SEALED.search(said) and SEALED_THOUGHTS not in fitted.takes.left_out:
        about_messages |= {known.FIELD + SEALED_THOUGHTS}
    if "stream" in sent and _NO_STREAMS.search(said):
        about_messages |= {known.NO_STREAMS}
    if "stream" not in sent and _ONLY_STREAMS.search(said) and not fitted.takes.only_streams:
        about_messages |= {known.ONLY_STREAMS}
    if about_messages:
        return about_messages, about_messages
    fields = {name for name in OPTIONAL.intersection(sent) if _names(said, name)}
    changes = {f"{known.FIELD}{name}" for name in fields}
    if is_of_a_kind:
        if bound := fields.intersection(_BOUNDS):
            changes = {lesson for lesson in changes if not lesson.endswith(_BOUNDS)}
            changes |= _renamed(min(bound), tried)
        changes |= _message_fields(said, fitted)
        if not changes and _SCHEMAS.search(said):
            used = words_of(fitted.tools)
            changes = {f"{known.SCHEMA_WORD}{word}" for word in used if _names(said, word)}
    if not changes - tried and _may_be_plainer(said, fitted):
        return frozenset({known.PLAIN_SCHEMAS}), frozenset({known.PLAIN_SCHEMAS})
    return frozenset(changes), frozenset(changes if is_of_a_kind else ())


def _about_messages(said: str, fitted: FittedRequest) -> frozenset[str]:
    found = set()
    if _NO_SYSTEM.search(said) and fitted.takes.system != "nowhere":
        found.add(known.NO_SYSTEM)
    if _NO_CALLS.search(said) and fitted.takes.calls_without_tools:
        found.add(known.NO_CALLS)
    if 0 < (tools := _most_tools(said)) < len(fitted.tools):
        found.add(f"{known.MOST_TOOLS}{tools}")
    if _NINE.search(said) and fitted.takes.call_id_chars != 9:
        found.add(known.NINE)
    if _IMAGES.search(said) and image_marks(fitted.prompt):
        if most := _MOST_IMAGES.search(said):
            found.add(known.MOST_IMAGES + str(int(most[1])))
        elif _NO_IMAGES.search(said):
            found.add(known.NO_IMAGES)
    if not found and _NO_NULL.search(said) and _has_null(fitted):
        found.add(known.NO_NULL)
    return frozenset(found)


def _most_tools(said: str) -> int:
    """How many tools a refusal says may be offered, 0 where it says nothing of that."""
    most = _MOST_TOOLS.search(said)
    if most is None or _OF_ONE_TOOL.search(said, most.start(), most.end() + 12):
        return 0
    return int(most[1] or most[2])


def _about_calls(said: str, fitted: FittedRequest) -> tuple[frozenset[str], frozenset[str]]:
    """Calls of other models lack what this one adds to its own, and wants back."""
    if not any(message.get("tool_calls") for message in fitted.prompt):
        return frozenset(), frozenset()
    if _NOT_SIGNED.search(said) and not fitted.takes.signs_calls:
        return frozenset({known.SIGNED}), frozenset({known.SIGNED})
    if _NO_THOUGHT.search(said) and not fitted.takes.wants_thoughts:
        return frozenset({known.WANTS_THOUGHTS}), frozenset({known.WANTS_THOUGHTS})
    if _NOT_GIVEN_BACK.search(said):
        return frozenset({known.IN_WORDS}), frozenset()
    return frozenset(), frozenset()


def _may_be_plainer(said: str, fitted: FittedRequest) -> bool:
    if fitted.takes.plain_schemas or not _OF_SCHEMAS.search(said):
        return False
    return plain(fitted.tools) != fitted.tools


def _has_null(fitted: FittedRequest) -> bool:
    return any(message.get("content") is None for message in fitted.prompt)


def _renamed(bound: str, tried: frozenset[str]) -> set[str]:
    """The bound of a reply has two names; where both are refused it is left out."""
    other = _BOUNDS[bound == _BOUNDS[0]]
    if f"{known.CALLED}{bound}" in tried:
        return {f"{known.FIELD}{name}" for name in _BOUNDS}
    return {f"{known.CALLED}{other}"}


def _message_fields(said: str, fitted: FittedRequest) -> set[str]:
    calls = [one for message in fitted.prompt for one in message.get("tool_calls") or ()]
    fields = {name for said_or_called in (*fitted.prompt, *calls) for name in said_or_called}
    fields -= _BASE_FIELDS
    return {
        f"{known.MESSAGE_FIELD}{name}"
        for name in fields
        if (_names(said, name) and name != "name")
        or re.search(rf"messages?\W*\d+\W+(?:user\W+)?{name}\b", said)
    }


def _names(said: str, name: str) -> bool:
    """Whether a field is named; xAI and Google say `presencePenalty`."""
    spelled = re.escape(name)
    if "_" in name:
        spelled += "|" + re.sub("_(.)", lambda found: found[1].upper(), name)
    return re.search(rf"(?<![\w-])(?:{spelled})(?![\w-])", said) is not None


def _said(text: str) -> Iterator[str]:
    """The words of a refusal, without what it repeats of the request."""
    start = min((place for sign in "{[" if (place := text.find(sign)) >= 0), default=len(text))
    try:
        body, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        start, body = 0, text
    for words in (text[:start], *_words(body)):
        yield _BEHIND.split(words, maxsplit=1)[0]


def _words(body: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(body, str):
        if body.lstrip().startswith("{") and depth < 6:
            try:
                yield from _words(json.loads(body), depth + 1)
                return
            except (ValueError, RecursionError):
                pass
        yield body
    elif isinstance(body, dict) and depth < 12:
        for name, value in body.items():
            if name not in _REPEATED:
                yield from _words(value, depth + 1)
    elif isinstance(body, list):
        for value in body[:32]:
            yield from _words(value, depth + 1)
