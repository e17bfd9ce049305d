"""One stored message made fit for a provider, whoever spoilt it."""

import json
import re
from collections import Counter
from hashlib import blake2b
from operator import is_
from typing import Any

from pydantic_core import from_json

from o.domain.text import storable_json
from o.llm.requests.capabilities import Capabilities

NOTHING_SAID = "(no text)"
_NO_NAME = "unnamed_tool"
_EMPTY = "an empty text was left out, or says so in words"
NO_IMAGE = "[An image that you cannot be shown.]"
_MARKUP = re.compile(r"<\|.*|^(functions?|tools?|default_api)[.:]+", re.DOTALL)
_HUGE = re.compile(r"\d[eE]\+?\d{3}")
"""A number that may be too large for a float, and then becomes an infinity."""

_BASE_62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

# Images that messages name by address: the provider fetches them, or nobody does. A client library
# may fetch such an image by itself, from inside the operator's network.
_FETCHED = ("http:", "https:")

# How images begin, in base64.
_IMAGE_SIGNS = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}
_MISSPELT = {"image/jpg": "image/jpeg"}
_TYPE_CHARS = 100

Message = dict[str, Any]
Notes = Counter[str]
"""What was changed, in plain sentences, and how often."""


class Cleaner:
    """Cleans the messages of a prompt, in their order; those that are clean stay what they are.

    Args:
        capabilities: What the provider takes.
        tools: Names of the tools that are offered, by which calls may go, whatever they look like.
        notes: Where to say what was changed.
        images: How many images the prompt has.
    """

    def __init__(
        self, capabilities: Capabilities, tools: frozenset[str], notes: Notes, images: int = 0
    ) -> None:
        most = capabilities.most_images
        self._too_many = 0 if most is None else images - most
        self._takes = capabilities
        self._tools = tools
        self._notes = notes
        self._refused = capabilities.left_out_of_messages
        self._ids = _Ids(capabilities)
        self._names: dict[str, str] = {}

    def clean(self, message: Message) -> Message:
        """The message as the provider takes it."""
        if not self._refused.isdisjoint(message):
            message = {name: value for name, value in message.items() if name not in self._refused}
        if calls := message.get("tool_calls"):
            message = self._with_calls(message, calls)
        elif "tool_call_id" in message:
            message = self._returned(message)
        content = message["content"]
        if type(content) is str and content and not content.isspace():
            return message
        if isinstance(content, list):
            parts = self._parts(content, message["role"])
            return message if parts is content else message | {"content": parts}
        return self._with_words(message, content)

    def _with_words(self, message: Message, content: Any) -> Message:
        """The message with something said, where it has to be."""
        if calls := message.get("tool_calls"):
            may_be_blank = self._takes.blank_content and not self._takes.null_content
            wanted = "" if may_be_blank else None
        else:
            wanted = NOTHING_SAID
        if content == wanted:
            return message
        if not calls or content:
            self._notes[_EMPTY] += 1
        return message | {"content": wanted}

    def _with_calls(self, message: Message, calls: list[Any]) -> Message:
        ids = self._ids.of(calls)
        cleaned = [self._call(call, id_) for call, id_ in zip(calls, ids, strict=True)]
        return message if _same(cleaned, calls) else message | {"tool_calls": cleaned}

    def _call(self, call: Any, id_: str) -> Any:
        if not self._refused.isdisjoint(call):
            call = {name: value for name, value in call.items() if name not in self._refused}
        function = call["function"]
        name, arguments = function["name"], function["arguments"]
        better = self._fit_name(name)
        if better != name:
            self._notes["the name of a tool that the model made up was cleaned"] += 1
        fit = fit_arguments(arguments)
        if fit != arguments:
            self._notes["arguments of a tool call that are no valid JSON object were mended"] += 1
        if id_ != call["id"]:
            self._notes["the id of a tool call was put in the provider's form"] += 1
        elif better == name and fit == arguments:
            return call
        return call | {"id": id_, "function": function | {"name": better, "arguments": fit}}

    def _returned(self, message: Message) -> Message:
        id_ = self._ids.of_return(message["tool_call_id"])
        if id_ != message["tool_call_id"]:
            message = message | {"tool_call_id": id_}
        name = message.get("name")
        if name is not None and (fit := self._fit_name(name)) != name:
            message = message | {"name": fit}
        return message

    def _fit_name(self, name: str) -> str:
        known = self._names.get(name)
        if known is None:
            known = self._names[name] = fit_name(name, self._takes, self._tools)
        return known

    def _parts(self, content: list[Any], role: str) -> list[Any] | str:
        """The parts that are taken; `content` itself where all are."""
        shows = self._takes.images if role == "user" else self._takes.images_in_returns
        parts = [self._part(part, shows=shows) for part in content]
        if parts and _same(parts, content):
            return content
        kept = [part for part in parts if part is not None]
        if not kept:
            return NOTHING_SAID
        if all(part["type"] == "text" for part in kept):  # older servers know text only
            return "\n".join(part["text"] for part in kept)
        return kept

    def _part(self, part: Any, *, shows: bool) -> Any:
        """The part, a note in its place, or None for one that says nothing."""
        if part["type"] == "text":
            if part["text"] and not part["text"].isspace():
                return part
            self._notes[_EMPTY] += 1
            return None
        if part["type"] != "image_url":
            return part
        url = str(part["image_url"]["url"])
        by_address = url[:6].lower().startswith(_FETCHED)
        self._too_many -= 1
        is_taken = not by_address or url.startswith(self._takes.image_addresses)
        if shows and is_taken and self._too_many < 0:
            return self._shown(part, url)
        self._notes["an image was left out, with a note in its place"] += 1
        return {
            "type": "text",
            "text": f"[An image at {url}, which you cannot be shown.]" if by_address else NO_IMAGE,
        }

    def _shown(self, part: Any, url: str) -> Any:
        """The image with the type that it is of: some providers refuse one that claims another."""
        fit = fit_image(url)
        if fit == url:
            return part
        self._notes["an image was shown as what it is, and not as what it was said to be"] += 1
        return part | {"image_url": part["image_url"] | {"url": fit}}


def _same(some: list[Any], others: list[Any]) -> bool:
    return all(map(is_, some, others))


class _Ids:
    """The ids of the calls of a prompt, and of their returns, as the provider takes them."""

    def __init__(self, capabilities: Capabilities) -> None:
        self._takes = capabilities
        self._anything_goes = capabilities.call_ids is None and not capabilities.unique_ids
        self._longest = capabilities.call_id_chars
        self._seen: Counter[str] = Counter()
        self._open: dict[str, list[str]] = {}

    def of(self, calls: list[Any]) -> list[str]:
        """The ids of the calls of one reply."""
        given = [call["id"] for call in calls]
        if self._anything_goes and "" not in given and max(map(len, given)) <= self._longest:
            self._open = {}
            return given
        ids = [self._fit(id_) for id_ in given]
        self._open = {}
        for id_, fit in zip(given, ids, strict=True):
            self._open.setdefault(id_, []).append(fit)
        return ids

    def of_return(self, given: str) -> str:
        """The id of a return; returns of one id come in the order of their calls."""
        waiting = self._open.get(given)
        return waiting.pop(0) if waiting else given

    def _fit(self, given: str) -> str:
        again = self._seen[given]
        self._seen[given] += 1
        if self._takes.takes_id(given) and not (again and self._takes.unique_ids):
            return given
        number = int.from_bytes(blake2b(f"{again} {given}".encode(errors="replace")).digest()[:9])
        letters = ""
        for _ in range(9):
            number, place = divmod(number, 62)
            letters += _BASE_62[place]
        return letters


def fit_name(name: str, takes: Capabilities, tools: frozenset[str]) -> str:
    """A tool's name that every provider takes: what a model makes up may hold anything."""
    if name in tools or takes.takes_name(name):
        return name
    fit = re.sub(r"[^A-Za-z0-9_-]+", "_", _MARKUP.sub("", name.strip())).strip("_-")[:64]
    if fit and not takes.takes_name(fit):  # it begins with a digit
        fit = f"_{fit}"[:64]
    return fit or _NO_NAME


def fit_image(url: str) -> str:
    """The address of an image; one that holds the image itself says what kind it is of."""
    start = url.find(",", 0, _TYPE_CHARS) + 1
    if not start or not url.startswith("data:image/"):
        return url
    said, _, coding = url[len("data:") : start].partition(";")
    kinds = (kind for sign, kind in _IMAGE_SIGNS.items() if url.startswith(sign, start))
    kind = next(kinds, _MISSPELT.get(said.lower(), said))
    return url if kind == said else f"data:{kind};{coding}{url[start:]}"


def fit_arguments(arguments: str) -> str:
    """Arguments that are a JSON object for everybody: no NaN, no half of a surrogate pair."""
    try:
        is_fit = isinstance(from_json(arguments, allow_inf_nan=False), dict)
    except ValueError:
        is_fit = False
    if is_fit and not _HUGE.search(arguments):
        return arguments
    try:
        parsed = json.loads(arguments)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        parsed = {"unreadable_arguments": arguments}
    fit = storable_json(parsed)
    return arguments if is_fit and fit == parsed else json.dumps(fit, ensure_ascii=False)
