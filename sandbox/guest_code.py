"""How the guest gets into a sandbox: as text over stdin."""

import json
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "guest"
_FLAGS = ("-I", "-B", "-X", "utf8")
# In the order in which they import each other.
_MODULES = ("values", "agent", "arguments", "client", "forwarder", "output", "tool", "supervisor")
_ENTER = "from guest.supervisor import main; main()"
# Reads the text of the modules as the first frame of stdin and makes them, so that any image with
# Python will do, and the guest is always of the worker's own release.
_LOADER = """
import json, os, sys, types
def take(size):
    data = b""
    while len(data) < size:
        part = os.read(0, size - len(data))
        if not part:
            os._exit(0)
        data += part
    return data
def make(name, source):
    module = sys.modules[name] = types.ModuleType(name)
    module.__package__, module.__path__ = "guest", []
    exec(compile(source, "<" + name + ">", "exec"), module.__dict__)
make("guest", "")
for name, source in json.loads(take(int.from_bytes(take(4), "big"))):
    make("guest." + name, source)
"""


def command_from_stdin(*, python: str = "python3", idle_s: float | None = None) -> list[str]:
    """Run the guest from what `bundle` sends; it ends when no job comes for `idle_s` seconds."""
    command = [python, *_FLAGS, "-c", _LOADER + _ENTER]
    return command if idle_s is None else [*command, f"{idle_s:g}"]


@cache
def bundle() -> bytes:
    """The guest's modules as one frame."""
    modules = [[name, (_FOLDER / f"{name}.py").read_text(encoding="utf-8")] for name in _MODULES]
    body = json.dumps(modules).encode()
    return len(body).to_bytes(4, "big") + body
