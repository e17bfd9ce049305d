"""What an operator can set of the files that people upload."""

from pydantic import Field
from pydantic_settings import BaseSettings


class FileSettings(BaseSettings):
    """Settings of uploads, and of how files are read."""

    upload_limit_mb: int = Field(
        50, ge=1, le=100_000, description="MiB that a file may have which is uploaded."
    )
    parse_timeout_s: float = Field(
        60.0, ge=1, le=600, description="Seconds of a core that reading one file may take."
    )
    parse_memory_mb: int = Field(
        1_024,
        ge=256,
        le=65_536,
        description="Memory that the process may take which reads a file; there is one for each.",
    )
    parse_limit_chars: int = Field(
        10_000_000,
        ge=1_000,
        le=100_000_000,
        description="Characters of text that a file may have; one with more is refused.",
    )
    files_at_once: int = Field(
        2, ge=1, le=64, description="Files that a worker reads at a time; the others wait."
    )

    @property
    def upload_limit_bytes(self) -> int:
        """What a file may have that is uploaded, in bytes."""
        return self.upload_limit_mb * 1024 * 1024
