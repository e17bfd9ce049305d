"""Settings of the processes that serve: how many there are, and how they take their leave."""

from pydantic import Field
from pydantic_settings import BaseSettings


class ProcessSettings(BaseSettings):
    """How many processes `o up` keeps alive, and how long they may take to end."""

    workers: int = Field(2, ge=1, le=64, description="Worker processes that `o up` keeps alive.")
    api_processes: int = Field(
        1,
        ge=1,
        le=64,
        description="API processes that `o up` and `o api` keep alive behind one address.",
    )
    drain_s: float = Field(
        2.0,
        ge=0,
        le=3_600,
        description="Seconds that requests and steps under way may take to end once a process is "
        "asked to stop. Then streams end with a word on how to resume, and steps are handed over.",
    )
