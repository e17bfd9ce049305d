"""A request as one model of one provider takes it: what the wires spell."""

from collections.abc import Iterator
from itertools import count
from urllib.parse import urlsplit

from pydantic import Field

from o.domain.llm import ModelRequest, ToolSpec
from o.llm.providers.providers import Provider
from o.llm.requests.capabilities import Capabilities, capabilities_of
from o.llm.requests.cleaning import fit_name
from o.llm.requests.repair import repaired
from o.llm.requests.schemas import plain, without_words


class FittedRequest(ModelRequest):
    """A request whose prompt has been repaired.

    Attributes:
        takes: What the model can be told; fields in `takes.left_out` are not to be sent.
        notes: What was changed, in plain sentences.
        renamed: Tools that are offered by another name than their own: theirs by that name.
    """

    takes: Capabilities = Capabilities()
    notes: list[str] = Field(default_factory=list)
    renamed: dict[str, str] = Field(default_factory=dict)


def fit(
    provider: Provider,
    model: str,
    request: ModelRequest,
    takes: Capabilities | None = None,
    refused: frozenset[int] = frozenset(),
    *,
    is_alone: bool = False,
) -> FittedRequest:
    """The request as the model takes it. One that has been fitted stays as it is.

    Args:
        provider: Who is asked.
        model: Which model there.
        request: What is asked. It is not changed.
        takes: What the model can be told, where more is known than its name tells.
        refused: Marks of what it has refused before.
        is_alone: Whether all earlier turns are left out.
    """
    if isinstance(request, FittedRequest) and takes is None:
        return request
    takes = takes or known_capabilities(provider, model)
    tools, renamed = _offered(request.tools, takes)
    too_many = 0 if takes.most_tools is None else max(0, len(tools) - takes.most_tools)
    tools = tools[: len(tools) - too_many]
    if takes.left_out_of_schemas:
        tools = without_words(tools, takes.left_out_of_schemas)
    names = [tool.name for tool in tools]
    prompt, notes = repaired(request.prompt, names, takes, refused, is_alone=is_alone)
    fields = {name: getattr(request, name) for name in ModelRequest.model_fields}
    if takes.left_out_of_schemas:
        words = ", ".join(sorted(takes.left_out_of_schemas))
        notes.append(f"words that were left out of the schemas of tools: {words}")
    if takes.plain_schemas and tools != (shown := plain(tools)):
        tools = shown
        notes.append("schemas of tools were made plain")
    if too_many:
        notes.append(f"tools that are not offered, since the provider takes no more: {too_many}")
    if renamed:
        notes.append("tools are offered by names that every provider takes")
    changed = {"prompt": prompt, "tools": tools, "takes": takes, "notes": notes, "renamed": renamed}
    return FittedRequest.model_construct(**fields | changed)


def _offered(tools: list[ToolSpec], takes: Capabilities) -> tuple[list[ToolSpec], dict[str, str]]:
    """The tools as they are offered, and the own names of those that clients call oddly."""
    if all(takes.takes_name(tool.name) for tool in tools):
        return tools, {}
    taken = {tool.name for tool in tools}
    renamed: dict[str, str] = {}
    offered = []
    for tool in tools:
        name = tool.name
        if not takes.takes_name(name):
            cleaned = fit_name(name, takes, frozenset())
            name = next(one for one in _alternatives(cleaned) if one not in taken)
            taken.add(name)
            renamed[name] = tool.name
        offered.append(tool.model_copy(update={"name": name}))
    return offered, renamed


def own_name(called: str, request: FittedRequest) -> str:
    """The own name of a tool that a model calls.

    Some write markup of theirs around it (`functions.memory_insert`, `memory_insert<|channel|>…`):
    what is a tool's name without that means the tool.
    """
    offered = {tool.name for tool in request.tools}
    if called not in offered and (meant := fit_name(called, request.takes, frozenset())) in offered:
        called = meant
    return request.renamed.get(called, called)


def _alternatives(name: str) -> Iterator[str]:
    yield name
    for n in count(2):
        yield f"{name[:60]}_{n}"


def known_capabilities(provider: Provider, model: str) -> Capabilities:
    """What is known of a model by its name and its provider."""
    host = urlsplit(provider.base_url).hostname or ""
    return capabilities_of(provider.provider_type, provider.wire, host, model)
