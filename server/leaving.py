"""The end of a command that has loaded what does not end well by itself."""

import os
import sys
from typing import NoReturn


def leave(status: int = 0) -> NoReturn:
    """End at once: an interpreter that takes itself down under temporalio's threads may crash."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
