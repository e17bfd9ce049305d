"""The command lines of O's own processes."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

# -P: a folder named `api` or `o` where the operator stands must not be taken for ours.
_O = (sys.executable, "-P", "-m", "server.cli")


@dataclass(frozen=True)
class Commands:
    """How each of O's own processes is started; tests put others in their place."""

    api: Sequence[str] = (*_O, "api")
    worker: Sequence[str] = (*_O, "worker")
    migrate: Sequence[str] = (*_O, "migrate")
    local_model: Sequence[str] = (*_O, "local-model", "--port")
    """The port follows."""
