"""Under which names a provider's model may stand in litellm's table of prices."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from o.llm.providers.provider_types import OPENAI_HOST
from o.llm.providers.providers import LOCAL, Provider

_OWN_MACHINE = frozenset({"ollama", "lmstudio_openai"})

# By V1's provider type: what stands before a model's id in the table, and whose its entries are.
_VENDORS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "openai": (("",), ("openai", "text-completion-openai")),
    "anthropic": (("",), ("anthropic",)),
    "azure": (("azure/", "azure_ai/"), ("azure", "azure_text", "azure_ai")),
    "bedrock": (("", "bedrock/"), ("bedrock", "bedrock_converse", "bedrock_mantle")),
    "google_ai": (("gemini/",), ("gemini",)),
    "google_vertex": (("vertex_ai/", ""), ("vertex_ai",)),
    "together": (("together_ai/",), ("together_ai",)),
    "fireworks": (
        ("fireworks_ai/", "fireworks_ai/accounts/fireworks/models/"),
        ("fireworks_ai",),
    ),
}

# A server of the OpenAI wire whose address says who it is.
_HOSTS = {
    OPENAI_HOST: "openai",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "xai",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.together.xyz": "together",
    "api.together.ai": "together",
    "api.fireworks.ai": "fireworks",
    "api.cerebras.ai": "cerebras",
    "api.perplexity.ai": "perplexity",
    "api.moonshot.ai": "moonshot",
    "api.z.ai": "zai",
    "api.minimax.io": "minimax",
    "api.deepinfra.com": "deepinfra",
    "openrouter.ai": "openrouter",
    "generativelanguage.googleapis.com": "google_ai",
    "dashscope.aliyuncs.com": "dashscope",
    "dashscope-intl.aliyuncs.com": "dashscope",
    "integrate.api.nvidia.com": "nvidia_nim",
    "api.anthropic.com": "anthropic",
}
_AZURE = (".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")

_DATE = re.compile(r"[-@](20\d{2}-\d{2}-\d{2}|20\d{6}|latest)$")
_REGIONS = re.compile(r"^(us-gov|us|eu|apac|au|jp|ca|global)\.")
_BEDROCK_PLACE = re.compile(r"[a-z]{2}(-gov)?-[a-z]+-\d")


def is_free(provider: Provider, model: str) -> bool:
    """Whether nobody charges for tokens: the bundled model, programs of one's own machine.

    A model of OpenRouter is free where its name ends so.
    """
    is_bundled = provider.name == LOCAL and provider.api_key is None
    return is_bundled or provider.provider_type in _OWN_MACHINE or model.endswith(":free")


def candidates(provider: Provider, model: str) -> Iterator[str]:
    """Names in the table, the surest first: as it is called, then without its date."""
    kind = _kind(provider)
    prefixes = _VENDORS[kind][0] if kind in _VENDORS else (f"{kind}/",)
    for name in _names(provider, kind, model):
        for prefix in prefixes:
            yield prefix + name


def is_of(provider: Provider, vendor: str) -> bool:
    """Whether an entry of the table is a price of this provider, and not of a namesake."""
    kind = _kind(provider)
    vendors = _VENDORS[kind][1] if kind in _VENDORS else (kind,)
    return any(vendor == own or vendor.startswith(f"{own}-") for own in vendors)


def _kind(provider: Provider) -> str:
    """The provider's type, or who is at its address where it is said to speak OpenAI's wire.

    Anybody's server speaks that one: of an address that is not known, empty, which nobody's is.
    """
    if provider.provider_type != "openai":
        return provider.provider_type
    host = urlsplit(provider.base_url).hostname or ""
    if host.endswith(_AZURE):
        return "azure"
    if host.endswith(f".{OPENAI_HOST}"):  # its regions
        return "openai"
    return _HOSTS.get(host, "")


def _names(provider: Provider, kind: str, model: str) -> Iterator[str]:
    name = model.removeprefix("models/") if kind == "google_ai" else model
    if kind == "bedrock":
        yield from _bedrock_names(provider, name)
        return
    if name.startswith("ft:"):  # ft:<model>:<organization>:<name>:<id>
        name = ":".join(name.split(":")[:2])
    yield name
    if kind == "azure":
        yield name.lower()
    if (undated := _DATE.sub("", name)) != name:
        yield undated


def _bedrock_names(provider: Provider, model: str) -> Iterator[str]:
    """By region where the price differs, then as the inference profile, then as the model."""
    name = model.rpartition("/")[2]  # of an ARN
    bare = _REGIONS.sub("", name)
    region = provider.region
    if not region and (found := _BEDROCK_PLACE.search(provider.base_url)):
        region = found[0]
    if region:
        yield f"{region}/{bare}"
    yield name
    yield bare
