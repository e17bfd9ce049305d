"""Providers that many runs have found busy or away, and that are left alone for a while."""

from pydantic import BaseModel, ConfigDict


class ProviderRest(BaseModel):
    """What is known of a provider whose calls fail.

    Attributes:
        provider: Its name.
        error_type: V1's word for the newest failure.
        error_status: The HTTP status of it.
        wait_s: Seconds until it may be asked again; not positive when somebody may try, None
            while too few runs have failed for a rest.
    """

    model_config = ConfigDict(frozen=True)

    provider: str
    error_type: str
    error_status: int
    wait_s: float | None = None
