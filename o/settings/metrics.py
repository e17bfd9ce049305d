"""What an operator can set of measures and traces."""

from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings

from o.settings.types import HTTP


class MetricsSettings(BaseSettings):
    """Where measures are shown and traces are sent, and to whom."""

    metrics_token: SecretStr | None = Field(
        None,
        description="Bearer token that opens /metrics, of the API and of workers, beside "
        "O_API_TOKEN, and nothing else.",
    )
    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65_535,
        description="Port on which a worker shows its measures; unset: none. `o up` shows those of "
        "its workers with the API's.",
    )
    metrics_host: str = Field("127.0.0.1", description="Address of that port.")
    otlp_endpoint: str | None = Field(
        None,
        pattern=HTTP,
        validation_alias=AliasChoices("O_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        description="Where a collector of OpenTelemetry takes traces over HTTP, such as "
        "http://127.0.0.1:4318; unset: nothing is traced.",
    )
    metrics_dir: Path | None = Field(
        None,
        description="A directory where processes of one machine meet, so that each shows the "
        "measures of all; `o up`, and `o api` of several processes, have their own.",
    )

    @property
    def shows_measures(self) -> bool:
        """Whether anybody can read what a worker measures."""
        return self.metrics_port is not None or self.metrics_dir is not None
