"""The end of a command that has loaded what does not end well by itself."""

import os
import sys
from typing import NoReturn

from server.streams import status_of


def leave(status: int = 0) -> NoReturn:
    """End at once: an interpreter that takes itself down under temporalio's threads may crash."""
    status = status_of(status)
    sys.stderr.flush()
    os._exit(status)
