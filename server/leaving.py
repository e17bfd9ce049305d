"""The end of a command that has loaded what does not end well by itself."""

import os
import sys
from typing import NoReturn

from server.streams import exit_status


def leave(status: int = 0) -> NoReturn:
    """End at once: an interpreter that takes itself down under temporalio's threads may crash."""
    status = exit_status(status)
    sys.stderr.flush()
    os._exit(status)
