"""What an operator can set of the sandboxes that tools run in."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AliasChoices, Field, FilePath, model_validator
from pydantic_settings import BaseSettings

from o.settings.retention import Days
from o.settings.types import HTTP, Places, Ports


class SandboxSettings(BaseSettings):
    """Those settings whose variables begin with `O_SANDBOX_`, and what belongs to them."""

    sandbox_backend: Literal["auto", "docker", "bubblewrap", "unsafe-subprocess"] = Field(
        "auto",
        description="What custom tools run in. auto: docker where an engine answers and has the "
        "image, else bubblewrap where its self-test passes, else nothing. unsafe-subprocess is no "
        "sandbox: tools may do what O may.",
    )
    sandbox_image: str = Field(
        f"o-sandbox:{version('o-server')}",
        description="The image of docker; `make sandbox-image` makes the one of this release.",
    )
    sandbox_runtime: str = Field(
        "", description="The runtime of docker, such as runsc for gVisor; unset: the engine's own."
    )
    docker_host: str = Field(
        "unix:///var/run/docker.sock",
        validation_alias=AliasChoices("O_DOCKER_HOST", "DOCKER_HOST"),
        description="Where the Docker engine of the workers listens.",
    )
    sandbox_timeout_s: float = Field(
        60.0,
        gt=0,
        le=3_600,
        validation_alias=AliasChoices("O_SANDBOX_TIMEOUT_S", "TOOL_SANDBOX_TIMEOUT"),
        description="Seconds that one call of a custom tool may take.",
    )
    sandbox_memory_mb: int = Field(
        256, ge=64, le=1_048_576, description="Memory of one call, of all its processes together."
    )
    sandbox_cpus: float = Field(1.0, ge=0.1, le=256, description="CPUs of one call.")
    sandbox_pool: int = Field(
        2,
        ge=0,
        le=64,
        description="Sandboxes that each worker keeps ready for each set of requirements.",
    )
    sandbox_network: Literal["public", "list", "none"] = Field(
        "public",
        description="What custom tools reach: public addresses, the hosts of O_SANDBOX_HOSTS "
        "alone, or nothing.",
    )
    sandbox_hosts: Places = Field(
        (),
        description="The hosts that tools may reach where not all: names (api.example.com, "
        "*.example.com) and networks, with a port or without, separated by commas.",
    )
    sandbox_ports: Ports = Field(
        (80, 443), description="Ports that tools may reach, separated by commas."
    )
    sandbox_allow: Places = Field(
        (),
        description="Where tools may send beside public addresses, as in O_OUTBOUND_ALLOW. An "
        "entry with a port opens that port for what it names.",
    )
    sandbox_ca_file: FilePath | None = Field(
        None,
        description="Whom tools trust beside those that the system trusts, in PEM: your own "
        "authority, or that of a proxy that looks into TLS.",
    )
    api_url: str | None = Field(
        None,
        pattern=HTTP,
        description="Where workers find the API, for tools that use it; unset: O_HOST and O_PORT.",
    )

    pip_index_url: Annotated[str, Field(pattern=rf"^$|{HTTP}")] = Field(
        "https://pypi.org/simple",
        description="The index that requirements of tools come from, a simple one of PyPI's kind; "
        "empty: none is asked. pip's and uv's own settings do not count.",
    )
    pip_find_links: Path | None = Field(
        None, description="A folder of wheels for requirements of tools, beside the index."
    )

    keep_packages_days: Days = Field(
        30,
        description="Days that requirements of tools stay installed after their last use.",
    )

    @model_validator(mode="after")
    def _list_of_hosts(self) -> Self:
        if self.sandbox_network == "list" and not self.sandbox_hosts:
            raise ValueError("O_SANDBOX_NETWORK=list needs hosts in O_SANDBOX_HOSTS")
        return self
