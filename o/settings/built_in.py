"""What an operator can set of the tools that come with the server."""

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings

from o.settings.types import HTTP, Places


class BuiltInSettings(BaseSettings):
    """Settings of the web tools, and of messages from agent to agent."""

    web_tools: bool = Field(
        False, description="Whether agents may read the web, with fetch_webpage and web_search."
    )
    web_allow: Places = Field(
        (),
        description="Where fetch_webpage may read beside public addresses, as in O_OUTBOUND_ALLOW.",
    )
    exa_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("O_EXA_API_KEY", "EXA_API_KEY"),
        description="What web_search asks Exa with.",
    )
    exa_base_url: str = Field("https://api.exa.ai", pattern=HTTP)
    tavily_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("O_TAVILY_API_KEY", "TAVILY_API_KEY"),
        description="What web_search asks Tavily with, where no key of Exa is set.",
    )
    tavily_base_url: str = Field("https://api.tavily.com", pattern=HTTP)
    searxng_url: str | None = Field(
        None,
        pattern=HTTP,
        description="A SearXNG of your own that web_search asks where neither key is set.",
    )
    agent_reply_timeout_s: float = Field(
        1_200.0,
        gt=0,
        le=86_400,
        description="Seconds that an agent waits for the answer of another one.",
    )
    agents_at_once: int = Field(
        10,
        ge=1,
        le=100,
        description="Agents at work at once for one call of send_message_to_agents_matching_tags.",
    )
