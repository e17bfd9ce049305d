"""V1's types of providers: how each is spoken to, where it lives, what the environment calls it.

`provider_type` of `POST /v1/providers/` is one of these names.
"""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from o.errors import InvalidInput

WireName = Literal[
    "openai", "responses", "anthropic", "ollama", "gemini", "azure", "bedrock", "mistral"
]
Listing = Literal["openai", "anthropic", "ollama", "gemini", "azure", "lmstudio", "none"]

_WITHOUT: dict[WireName, str] = {"anthropic": "/v1", "ollama": "/v1", "gemini": "/v1beta"}
"""What people put behind an address, and requests of the wire bring themselves."""

OPENAI_HOST = "api.openai.com"
"""Where OpenAI's own models are, which take what others of its wire do not."""

_ASKED_AT = "/chat/completions"
_KEYS_OF_AWS = "AWS_SECRET_ACCESS_KEY"


@dataclass(frozen=True)
class ProviderType:
    """One type.

    Attributes:
        name: In V1's words; also the name of the provider that the environment brings.
        wire: How its requests are spelled; `wire_at` says so for an address.
        base_url: Where it lives unless told otherwise; None where that has to be told.
            `{region}` stands for the provider's region.
        listing: How it is asked which models it has; `none` where that cannot be asked.
        key: The environment variable with its key; `ProviderSettings` has the field.
        url: The environment variable with its address.
        made_by: What has to be set in the environment that there is such a provider.
        adds_v1: Whether people name its address without the `/v1` that its paths begin with.
    """

    name: str
    wire: WireName
    base_url: str | None
    listing: Listing = "openai"
    key: str = ""
    url: str = ""
    made_by: Literal["key", "url", "either"] = "key"
    adds_v1: bool = False

    @property
    def variables(self) -> str:
        """What the environment calls it, for people."""
        return " and ".join(filter(None, (self.key, self.url)))

    @property
    def needed(self) -> str:
        """Which variables make one of the environment, for people; empty where none do."""
        if self.key == _KEYS_OF_AWS:
            return f"AWS_ACCESS_KEY_ID, {_KEYS_OF_AWS} and AWS_REGION"
        if self.made_by == "url":
            return self.url
        return self.variables if self.base_url is None else self.key

    def wire_at(self, base_url: str) -> WireName:
        """The wire that is spoken at an address: some companies have a path for Anthropic's."""
        path = urlsplit(base_url).path.rstrip("/").removesuffix("/v1")
        if self.wire == "openai" and path.endswith("/anthropic"):
            return "anthropic"
        return self.wire

    def address(self, base_url: str | None, region: str | None = None) -> str:
        """Where to ask, from the address that was given (`o.addresses.check_base_url`).

        Raises:
            InvalidInput: None was given and none is known.
        """
        if not base_url:
            if self.base_url is None:
                raise InvalidInput(f"A provider of type {self.name} needs its base_url.")
            if "{region}" in self.base_url and not region:
                raise InvalidInput(f"A provider of type {self.name} needs its region.")
            return self.base_url.replace("{region}", region or "")
        url = base_url.rstrip("/").removesuffix(_ASKED_AT)  # what is copied from examples of curl
        if (wire := self.wire_at(url)) in _WITHOUT:  # V1's own defaults have it with the version
            return url.removesuffix(_WITHOUT[wire])
        if self.adds_v1 and urlsplit(url).path in ("", "/"):
            return f"{url}/v1"
        return url


def _hosted(name: str, base_url: str, key: str, wire: WireName = "openai") -> ProviderType:
    """A company's own servers, which want a key. Its address can be changed, to a gateway's say."""
    return ProviderType(name, wire, base_url, key=key, url=key.replace("_API_KEY", "_BASE_URL"))


_ALL = (
    ProviderType(
        "openai",
        "openai",
        f"https://{OPENAI_HOST}/v1",
        key="OPENAI_API_KEY",
        url="OPENAI_BASE_URL",
        made_by="either",  # many servers of its protocol want none
    ),
    ProviderType(
        "anthropic",
        "anthropic",
        "https://api.anthropic.com",
        "anthropic",
        key="ANTHROPIC_API_KEY",
        url="ANTHROPIC_BASE_URL",
    ),
    ProviderType(
        "google_ai",
        "gemini",
        "https://generativelanguage.googleapis.com",
        "gemini",
        key="GEMINI_API_KEY",
        url="GEMINI_BASE_URL",
    ),
    ProviderType("azure", "azure", None, "azure", key="AZURE_API_KEY", url="AZURE_BASE_URL"),
    ProviderType(
        "bedrock",
        "bedrock",
        "https://bedrock-runtime.{region}.amazonaws.com",
        "none",
        key=_KEYS_OF_AWS,
        url="BEDROCK_BASE_URL",
    ),
    _hosted("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    _hosted("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "mistral"),
    _hosted("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    _hosted("xai", "https://api.x.ai/v1", "XAI_API_KEY"),
    _hosted("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    _hosted("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    _hosted("fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    _hosted("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    _hosted("baseten", "https://inference.baseten.co/v1", "BASETEN_API_KEY"),
    _hosted("minimax", "https://api.minimax.io/v1", "MINIMAX_API_KEY"),
    _hosted("zai", "https://api.z.ai/api/paas/v4", "ZAI_API_KEY"),
    # The two below are set up through the API alone: their keys are those of other things too.
    ProviderType("zai_coding", "openai", "https://api.z.ai/api/coding/paas/v4"),
    ProviderType("hugging-face", "openai", "https://router.huggingface.co/v1"),
    # Its `…/endpoints/openapi`, with an access token as its key.
    ProviderType("google_vertex", "openai", None),
    ProviderType(
        "ollama",
        "ollama",
        "http://localhost:11434",
        "ollama",
        key="OLLAMA_API_KEY",
        url="OLLAMA_BASE_URL",
        made_by="url",
    ),
    ProviderType(
        "vllm",
        "openai",
        "http://localhost:8000/v1",
        key="VLLM_API_KEY",
        url="VLLM_API_BASE",
        made_by="url",
        adds_v1=True,
    ),
    ProviderType(
        "sglang",
        "openai",
        "http://localhost:30000/v1",
        key="SGLANG_API_KEY",
        url="SGLANG_API_BASE",
        made_by="url",
        adds_v1=True,
    ),
    ProviderType(
        "lmstudio_openai",
        "openai",
        "http://localhost:1234/v1",
        "lmstudio",
        key="LMSTUDIO_API_KEY",
        url="LMSTUDIO_BASE_URL",
        made_by="url",
        adds_v1=True,
    ),
)

PROVIDER_TYPES = {one.name: one for one in _ALL}
"""By name, in the order in which providers of the environment are listed."""

REFUSED_TYPES = {
    "letta": "Models of type letta were served by Letta's own cloud; name another provider.",
    "chatgpt_oauth": "Signing in with a ChatGPT subscription is not supported; use an API key of "
    "OpenAI with provider_type openai.",
}
"""V1's types that no provider can have here, and why."""


def find_type(name: str) -> ProviderType:
    """The type by V1's name.

    Raises:
        InvalidInput: There is none, or none that can be had here.
    """
    if name in REFUSED_TYPES:
        raise InvalidInput(REFUSED_TYPES[name])
    if name not in PROVIDER_TYPES:
        known = ", ".join(sorted(PROVIDER_TYPES))
        raise InvalidInput(f"There is no provider_type {name[:50]!r}. There are {known}.")
    return PROVIDER_TYPES[name]


def variables_of(name: str) -> str:
    """Which variables make the provider by this name, for people; empty where none do."""
    kind = PROVIDER_TYPES.get("openai" if name == "openai-proxy" else name)
    return kind.needed if kind is not None else ""
