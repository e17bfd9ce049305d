"""A request as one model of one provider takes it: what the wires spell."""

from urllib.parse import urlsplit

from pydantic import Field

from o.domain.llm import ModelRequest
from o.llm.providers import Provider
from o.llm.requests.capabilities import Capabilities, capabilities_of
from o.llm.requests.repair import repaired


class FittedRequest(ModelRequest):
    """A request whose prompt has been repaired.

    Attributes:
        takes: What the model can be told; fields in `takes.left_out` are not to be sent.
        notes: What was changed, in plain sentences.
    """

    takes: Capabilities = Capabilities()
    notes: list[str] = Field(default_factory=list)


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
    names = [tool.name for tool in request.tools]
    prompt, notes = repaired(request.prompt, names, takes, refused, is_alone=is_alone)
    fields = {name: getattr(request, name) for name in ModelRequest.model_fields}
    return FittedRequest.model_construct(
        **fields | {"prompt": prompt, "takes": takes, "notes": notes}
    )


def known_capabilities(provider: Provider, model: str) -> Capabilities:
    """What is known of a model by its name and its provider."""
    host = urlsplit(provider.base_url).hostname or ""
    return capabilities_of(provider.provider_type, provider.wire, host, model)
