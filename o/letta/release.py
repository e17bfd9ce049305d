"""Which V1 it is whose data is read and written."""

from typing import Final

REVISION: Final = "1c28e167b74f"
"""The schema of V1's last release, 0.16.8; its agent files name it too."""
