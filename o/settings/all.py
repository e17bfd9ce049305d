"""What an operator can set, read once, in `server.cli`, and handed on."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    model_validator,
)
from pydantic_settings import SettingsConfigDict

from o.addresses import check_origin
from o.log import LogFormat
from o.price_file import read_prices
from o.settings.built_in import BuiltInSettings
from o.settings.files import FileSettings
from o.settings.mcp import McpSettings
from o.settings.memory import MemorySettings
from o.settings.metrics import MetricsSettings
from o.settings.processes import ProcessSettings
from o.settings.retention import RetentionSettings
from o.settings.sandbox import SandboxSettings
from o.settings.transport import TransportSettings
from o.settings.types import HTTP, Listed, Places

# Where V1 expects a page that is being developed.
V1_ORIGINS = (
    "http://letta.localhost",
    "http://localhost:8283",
    "http://localhost:8083",
    "http://localhost:3000",
    "http://localhost:4200",
)
STARTUP_PATIENCE_S = 120.0
"""How long a part waits for the others, which may be started at the same time."""
MIN_KEY_CHARS = 16
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


def _origins(entries: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(check_origin(entry.rstrip("/")) for entry in entries)


def _prices(path: Path) -> Path:
    read_prices(path)
    return path


Origins = Annotated[Listed, AfterValidator(_origins)]


def _known_as(name: str) -> AliasChoices:
    """Accept the name that people already use beside `O_<NAME>`, which wins."""
    return AliasChoices(f"O_{name}", name)


LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
    BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
]


class Settings(
    ProcessSettings,
    SandboxSettings,
    BuiltInSettings,
    McpSettings,
    FileSettings,
    MemorySettings,
    MetricsSettings,
    RetentionSettings,
    TransportSettings,
):
    """What an operator can set, as `O_<NAME>` environment variables."""

    model_config = SettingsConfigDict(
        env_prefix="O_",
        frozen=True,
        env_ignore_empty=True,
        populate_by_name=True,
        str_strip_whitespace=True,  # of secrets that end with a line
    )

    host: str = Field("127.0.0.1", description="Address the API binds to.")
    port: int = Field(8283, ge=0, le=65535, description="Port of the API.")
    data_dir: Path = Field(Path(".o"), description="Everything that `o up` keeps.")
    container: bool = Field(
        False,
        description="Whether this is a container of one process: addresses and keys must be set, "
        "and the API listens on every address. O's image says so.",
    )
    api_token: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("O_API_TOKEN", "LETTA_SERVER_PASSWORD"),
        description="Bearer token that every request must carry; needed off loopback.",
    )
    encryption_key: SecretStr | None = Field(
        None,
        description="What keys of providers are encrypted with: a long random text, the same for "
        "every process. Several, separated by commas: the first encrypts, all decrypt. Unset: a "
        "file in the data directory.",
    )
    strict_provider_category: bool = Field(
        False, description="Whether `provider_category` in a request is 422 rather than ignored."
    )
    database_url: SecretStr | None = Field(
        None,
        validation_alias=_known_as("DATABASE_URL"),
        description="PostgreSQL 16 to 18; replaces the embedded one.",
    )
    database_dir: Path | None = Field(
        None,
        description="Where PostgreSQL keeps its files, if on this machine: messages are refused "
        "while its disk is full. `o up` knows its own.",
    )
    temporal_address: str | None = Field(
        None,
        validation_alias=_known_as("TEMPORAL_ADDRESS"),
        description="host:port of a Temporal server; replaces the embedded one.",
    )
    temporal_namespace: str = Field("default", validation_alias=_known_as("TEMPORAL_NAMESPACE"))
    temporal_api_key: SecretStr | None = Field(
        None,
        validation_alias=_known_as("TEMPORAL_API_KEY"),
        description="What your Temporal server knows us by; sent over TLS.",
    )
    temporal_tls: bool | None = Field(
        None,
        validation_alias=_known_as("TEMPORAL_TLS"),
        description="Whether your Temporal server speaks TLS; unset: if a key or file is set.",
    )
    temporal_ca_file: Path | None = Field(
        None,
        validation_alias=AliasChoices("O_TEMPORAL_CA_FILE", "TEMPORAL_TLS_SERVER_CA_CERT_PATH"),
        description="Who vouches for your Temporal server, in PEM; unset: whom the system trusts.",
    )
    temporal_server_name: str | None = Field(
        None,
        validation_alias=AliasChoices("O_TEMPORAL_SERVER_NAME", "TEMPORAL_TLS_SERVER_NAME"),
        description="The name in its certificate, where that is not the address.",
    )
    temporal_cert_file: Path | None = Field(
        None,
        validation_alias=AliasChoices("O_TEMPORAL_CERT_FILE", "TEMPORAL_TLS_CLIENT_CERT_PATH"),
        description="Our certificate, in PEM, where it wants one (mTLS).",
    )
    temporal_key_file: Path | None = Field(
        None,
        validation_alias=AliasChoices("O_TEMPORAL_KEY_FILE", "TEMPORAL_TLS_CLIENT_KEY_PATH"),
        description="The private key of our certificate, in PEM.",
    )
    temporal_decisions: bool | None = Field(
        None,
        description="Whether approvals can be decided in Temporal's UI and CLI, which ask nobody "
        "for O_API_TOKEN; unset: unless that is set.",
    )
    task_queue: str = "o"
    postgres_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="TCP port of the embedded PostgreSQL; unset means its socket only.",
    )
    temporal_port: int | None = Field(None, ge=0, le=65_535, description="Unset means a free one.")
    temporal_ui_port: int | None = Field(
        None, ge=0, le=65_535, description="Unset means 8233, or a free one."
    )
    temporal_ui_url: str | None = Field(
        None,
        pattern=HTTP,
        description="Where people look at Temporal, for the first page; `o up` knows its own.",
    )
    database_pool: int = Field(
        10,
        ge=1,
        le=1_000,
        description="Connections in the pool of each API process and worker. Beside it each has "
        "two (the API follows runs, a worker locks its sweeps) and for a moment a third, to see "
        "whether the database shuts down. `o up` itself has two, and for a moment one more.",
    )
    database_patience_s: float = Field(
        20.0,
        gt=0,
        le=3_600,
        description="Seconds that the API waits for a database that restarts.",
    )
    max_body_bytes: int = Field(
        20 * 1024 * 1024, gt=0, le=1024**3, description="Larger requests get 413."
    )
    model_timeout_s: float = Field(
        600.0, gt=0, le=1_500, description="Seconds one model call may take, to its last word."
    )
    model_calls: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Calls that a worker makes to one provider at once; more wait their turn.",
    )
    model_attempts: int = Field(
        3, ge=1, le=1_000, description="Calls to a provider that is busy or down."
    )
    provider_rest_conversations: int = Field(
        5,
        ge=0,
        le=1_000_000,
        description="Conversations that find a provider busy or away, within a minute and with no "
        "success between, after which nobody asks it for a while; 0: it is always asked.",
    )
    crash_attempts: int = Field(
        8,
        ge=1,
        le=1_000,
        description="Times a step, or the reading of a file, may lose its worker before it fails.",
    )
    busy_policy: Literal["queue", "reject", "interrupt"] = Field(
        "queue",
        description="What becomes of a message while the conversation is busy: it waits (queue), "
        "is refused (reject), or the run under way is cancelled first (interrupt).",
    )
    queue_limit: int = Field(
        20,
        ge=1,
        le=1_000_000,
        description="Messages that may wait in one conversation; more get 409.",
    )
    approval_timeout_s: int | None = Field(
        None,
        ge=1,
        le=10 * 366 * 86_400,
        description="Seconds until an approval that nobody gave is denied; unset: never.",
    )
    callback_attempts: int = Field(
        10,
        ge=1,
        le=1_000,
        description="Times a callback is sent before it is given up, over two hours.",
    )
    allowed_hosts: Listed = Field(
        (),
        description="Names beside those of loopback by which a server without a token is asked, "
        "separated by commas.",
    )
    cors_origins: Origins = Field(
        V1_ORIGINS,
        validation_alias=AliasChoices("O_CORS_ORIGINS", "ACCEPTABLE_ORIGINS"),
        description="Whose pages may use the API from a browser, separated by commas; * for all.",
    )
    outbound_allow: Places = Field(
        (),
        description="Where clients may have O send (callbacks) beside public addresses: networks, "
        "addresses and names, with a port or without, separated by commas.",
    )
    prices: Annotated[Path, AfterValidator(_prices)] | None = Field(
        None,
        description="A JSON file with what models cost, where it is not what their makers ask: "
        '{"<handle or provider/*>": {"input": …, "output": …, "cached_input": …, "cache_write": …}}'
        " in US dollars for a million tokens.",
    )
    traces: Literal["off", "failures", "all"] = Field(
        "failures",
        description="Of which steps the request to the provider and its answer are kept, without "
        "keys and images: none, those that failed, or all.",
    )
    sweep_interval_s: float = Field(
        3.0, ge=0.1, le=86_400, description="Seconds between looks for lost runs."
    )
    ping_interval_s: float = Field(
        20.0, ge=0.1, le=3_600, description="Seconds of silence before a stream sends a ping."
    )
    log_level: LogLevel = "INFO"
    log_format: LogFormat = Field("text", description="Lines of text, or of JSON.")
    log_limit_bytes: int = Field(
        10 * 1024 * 1024,
        ge=10_000,
        le=1024**4,
        description="Size at which `o up` begins a log anew; three older ones are kept.",
    )
    worker_identity: str | None = Field(
        None, description="How Temporal names this worker; `o up` gives each its own."
    )

    @property
    def takes_temporal_decisions(self) -> bool:
        """Whether whoever reaches Temporal may decide approvals."""
        return (
            self.api_token is None if self.temporal_decisions is None else self.temporal_decisions
        )

    @property
    def url_of_api(self) -> str:
        """Where this machine asks the API, unless O_API_URL says where."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return self.api_url or f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def speaks_tls_to_temporal(self) -> bool:
        """Whether the connection to Temporal is encrypted."""
        if self.temporal_tls is not None:
            return self.temporal_tls
        return any((self.temporal_api_key, self.temporal_ca_file, self.temporal_cert_file))

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        if (self.temporal_cert_file is None) != (self.temporal_key_file is None):
            raise ValueError("set both O_TEMPORAL_CERT_FILE and O_TEMPORAL_KEY_FILE, or neither")
        return self

    @model_validator(mode="after")
    def _long_encryption_keys(self) -> Self:
        keys = self.encryption_key.get_secret_value().split(",") if self.encryption_key else []
        if any(len(key.strip()) < MIN_KEY_CHARS for key in keys):
            raise ValueError(
                f"O_ENCRYPTION_KEY needs {MIN_KEY_CHARS} characters or more in each of its keys: "
                "openssl rand -base64 32"
            )
        return self

    @model_validator(mode="after")
    def _token_of_metrics_off_loopback(self) -> Self:
        is_open = self.metrics_token is None and self.api_token is None
        if self.metrics_port is not None and self.metrics_host not in LOOPBACK_HOSTS and is_open:
            raise ValueError(
                f"set O_METRICS_TOKEN before you show measures on {self.metrics_host}, or use "
                "127.0.0.1"
            )
        return self

    @model_validator(mode="after")
    def _token_off_loopback(self) -> Self:
        if self.host not in LOOPBACK_HOSTS and self.api_token is None:
            raise ValueError(f"set O_API_TOKEN before you listen on {self.host}, or use 127.0.0.1")
        return self
