"""What a hostile tool is here: source, and what may come of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PRELUDE = '''
import ctypes, errno, glob, io, json, mmap, os, resource, signal, socket, struct, subprocess, sys
import threading, time
gained = []
def tries(name, action):
    """Note what an action gave, where it gave anything at all."""
    try:
        value = action()
    except (Exception, SystemExit):
        return
    if value not in (None, False, b"", "", [], -1):
        gained.append([name, repr(value)[:120]])
def reads(path, size=100):
    tries(path, lambda: open(path, "rb", buffering=0).read(size))
def writes(path, text=b"x"):
    tries(path, lambda: os.write(os.open(path, os.O_WRONLY | os.O_CREAT), text))
def opens(path):
    """What is not even to be opened for writing."""
    tries(path, lambda: os.open(path, os.O_WRONLY))
libc = ctypes.CDLL(None, use_errno=True)
def calls(name, number, *arguments):
    """A system call that must fail."""
    got = libc.syscall(number, *arguments) if os.uname().machine == "x86_64" else -1
    if got >= 0:
        gained.append([name, got])
def asks(host, port, data=b""):
    def connected():
        with socket.create_connection((host, port), 1) as line:
            line.sendall(data)
            return "connected"
    tries(f"{host}:{port}", connected)
def proxied(request, timeout_s=3):
    """Bytes to the egress proxy, and the status that it answers."""
    at = os.environ["HTTP_PROXY"].split("//")[1].rstrip("/").rpartition(":")
    with socket.create_connection((at[0].rpartition("@")[2], int(at[2])), 3) as line:
        line.settimeout(timeout_s)
        line.sendall(request)
        answer = b""
        while len(answer) < 65536:
            try:
                piece = line.recv(4096)
            except OSError:
                break
            if not piece:
                break
            answer += piece
    return answer
'''

STOPPED = frozenset({"timeout", "memory", "died", "frame"})
"""What may come of a tool that takes all it can get, or destroys its own process."""
ANY = STOPPED | {"raised", "result", "source"}


@dataclass(frozen=True)
class Case:
    """A hostile tool: `f(world)` returns what it gained, of which nothing may be.

    Attributes:
        body: Of the function, without indentation.
        kinds: The failures that are as good.
        only_failure: Whether it must fail so: whatever it returned would be a gain.
        result: What it must return instead of nothing, where that is said.
        network: Whether it has the way out that public addresses have.
        packages: Whether it has a folder of requirements.
        more: Of the job, in place of what the suite gives it.
    """

    name: str
    body: str
    kinds: frozenset[str] = frozenset()
    only_failure: bool = False
    result: Any = field(default_factory=list)
    network: bool = False
    packages: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """The whole tool."""
        lines = self.body.strip("\n").splitlines()
        head = "def f(world, self=None, agent_state=None, **others):"
        return (
            f"{PRELUDE}\n{head}\n"
            + "\n".join(f"    {line}" for line in lines)
            + ("\n    return gained\n")
        )
