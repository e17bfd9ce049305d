"""The command lines of O's own processes."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

# -P: a folder named `api` or `o` where the operator stands must not be taken for ours.
_O = (sys.executable, "-P", "-m", "server.cli")

FORK_SERVER = (*_O, "fork-server", "--fd")
"""What a fork server is started with once the supervisor is under way; its socket follows."""


def arguments_of(command: Sequence[str]) -> Sequence[str] | None:
    """What stands behind `o` in a command of O, None where it is another program's."""
    return command[len(_O) :] if tuple(command[: len(_O)]) == _O else None


@dataclass(frozen=True)
class Commands:
    """How each of O's own processes is started; tests put others in their place."""

    api: Sequence[str] = (*_O, "api")
    worker: Sequence[str] = (*_O, "worker")
    migrate: Sequence[str] = (*_O, "migrate")
    local_model: Sequence[str] = (*_O, "local-model", "--port")
    """The port follows."""
