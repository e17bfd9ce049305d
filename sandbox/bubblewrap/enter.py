"""The first that runs in a sandbox of bubblewrap: sets limits, becomes nobody, runs the program.

It is a file of its own, of standard library only: the sandbox has nothing else of this server.
"""

import json
import os
import resource
import sys


def enter(options: dict[str, int], argv: list[str]) -> None:
    """Never returns.

    Args:
        options: A limit for each name of `resource.RLIMIT_…`; beside them `uid`, whom to become,
            and `nice`.
        argv: The program, by its absolute path, and its arguments.
    """
    os.closerange(3, 1024)
    uid = options.pop("uid", None)
    os.nice(options.pop("nice", 0))
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    for name, limit in options.items():
        which = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(which)[1]
        lowest = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(which, (lowest, lowest))
    os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    enter(json.loads(sys.argv[1]), sys.argv[2:])
