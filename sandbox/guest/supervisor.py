"""The first process of a sandbox: one job comes in on stdin, and one reply goes out on stdout.

It runs on nothing but the standard library of Python 3.9 or newer. The tool is a child in a
session of its own. It can do to this process what it likes, as both have the same user: the worker
outside holds the limits, and this one reports well where it is left in peace.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time
from typing import Any

from . import forwarder, tool
from .output import Output, Pipes

_MAX_JOB = 16 * 1024 * 1024
_SOON_S = 0.05
_RESERVE = 256 * 1024
_BASE_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108 - the sandbox's own
    "LANG": "C.UTF-8",
}


def main() -> None:
    """Say hello, take one job, reply, and end. Without a worker at the other end, end at once."""
    idle_s = float(sys.argv[1]) if len(sys.argv) > 1 else None
    reply = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    send(reply, {"hello": 1, "python": "{}.{}".format(*sys.version_info)})
    if not select.select([0], [], [], _SOON_S)[0]:
        tool.get_ready()
    ready = select.select([0], [], [], idle_s)[0]
    data = receive(0) if ready else None
    if data is None:
        os._exit(0)
    send(reply, _run(json.loads(data)))
    os._exit(0)


def receive(descriptor: int) -> bytes | None:
    """One frame: four bytes of length, and so many more. None when the other end has gone."""
    head = _read(descriptor, 4)
    size = int.from_bytes(head, "big")
    if len(head) < 4 or size > _MAX_JOB:
        return None
    body = _read(descriptor, size)
    return body if len(body) == size else None


def _read(descriptor: int, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = os.read(descriptor, min(size - len(parts), 1 << 16))
        if not part:
            break
        parts += part
    return bytes(parts)


def send(descriptor: int, message: dict[str, Any]) -> None:
    """Write one frame."""
    body = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
    data = memoryview(len(body).to_bytes(4, "big") + body)
    while data:
        data = data[os.write(descriptor, data) :]


def _run(job: dict[str, Any]) -> dict[str, Any]:
    began = time.monotonic()
    if job.get("egress"):
        job["environment"] = {**forwarder.start(job["egress"]), **job["environment"]}
    pipes = Pipes()
    child = os.fork()
    if child == 0:
        _be_tool(job, pipes)
    pipes.close_inner()
    output = Output(pipes, job["output_limit"], 3 * job["result_limit"] + _RESERVE)
    ended = output.read(child, until=began + job["timeout_s"])
    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    if ended == "orphaned":
        os._exit(0)
    reply = _told(output.payload, ended, output.status)
    for name, stream in output.printed.items():
        reply[name], reply[name + "_bytes"] = stream.text(), stream.count
    reply["duration_ms"] = round(1e3 * (time.monotonic() - began), 3)
    return reply


def _told(payload: bytes | None, ended: str, status: int | None) -> dict[str, Any]:
    """What the child wrote of its end; or what is known of a child that wrote nothing."""
    if payload is not None:
        try:
            told = json.loads(payload)
        except (ValueError, RecursionError):
            return {"error": {"kind": "frame"}}
        return told if isinstance(told, dict) else {"error": {"kind": "frame"}}
    if ended in ("timeout", "frame"):
        return {"error": {"kind": ended}}
    return {"error": {"kind": "died", "status": status}}


def _be_tool(job: dict[str, Any], pipes: Pipes) -> None:
    """Run the tool and end; this is the child, and it never returns."""
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        pipes.enter_child()
        for name, value in job["rlimits"].items():
            _limit(name, value)
        tool.enter({**_BASE_ENVIRONMENT, **job["environment"]}, job["packages"])
        payload = tool.run(job)
        tool.flush()
        data = memoryview(len(payload).to_bytes(4, "big") + payload)
        while data:
            data = data[os.write(pipes.result, data) :]
        code = 0
    finally:
        os._exit(code)


def _limit(name: str, value: int) -> None:
    kind = getattr(resource, "RLIMIT_" + name, None)
    if kind is not None:
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
