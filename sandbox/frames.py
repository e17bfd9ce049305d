"""Frames between a worker and a guest: four bytes of length, then JSON. A guest is not trusted."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from sandbox.guest.values import MAX_DEPTH, clean
from sandbox.protocol import BlockEdit, Failure, Job, JobResult, Limits

MAX_JOB = 16 * 1024 * 1024
_MAX_VALUES = 700_000
"""Brackets and commas of one frame: small bytes make large objects."""

# A string, also one that does not end. Nothing is tried twice: else a text would take a hundred
# times its size, and one that does not end minutes.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_MESSAGE_CHARS, _TRACEBACK_CHARS = 2_000, 4_000
_RAISED = ("raised", "result", "source")


class FrameRefused(Exception):
    """Bytes that are no frame that a guest sends."""


@dataclass(frozen=True)
class Inside:
    """How a job finds things in its sandbox.

    Attributes:
        packages: The folder of its requirements.
        rlimits: By the names of `resource`, without `RLIMIT_`; the tool's process gets them.
        egress: What the guest needs for the way out.
    """

    packages: PurePosixPath | None = None
    rlimits: Mapping[str, int] = field(default_factory=dict)
    egress: Mapping[str, Any] | None = None


def max_reply(limits: Limits) -> int:
    """Bytes that a sandbox may send in all: escapes make a text longer."""
    return 3 * limits.result + 12 * limits.output + 256 * 1024


def encode_job(job: Job, inside: Inside) -> bytes:
    """The frame of a job.

    Raises:
        FrameRefused: It is longer than a guest takes.
    """
    own = {"O_IDEMPOTENCY_KEY": job.idempotency_key, "LETTA_AGENT_ID": job.agent_id}
    message = {
        "source": job.source,
        "function": job.function,
        "arguments": dict(job.arguments),
        "environment": dict(job.environment) | {name: text for name, text in own.items() if text},
        "agent_state": job.agent_state,
        "agent_id": job.agent_id,
        "timeout_s": job.limits.timeout_s,
        "result_limit": job.limits.result,
        "output_limit": job.limits.output,
        "packages": str(inside.packages) if inside.packages else None,
        "rlimits": dict(inside.rlimits),
        "egress": inside.egress,
    }
    body = json.dumps(message).encode()
    if len(body) > MAX_JOB:
        raise FrameRefused(f"the tool and its arguments come to {len(body):,} bytes")
    return len(body).to_bytes(4, "big") + body


def parse(body: bytes) -> dict[str, Any]:
    """A frame's JSON object, with text that PostgreSQL takes.

    Raises:
        FrameRefused: It is no JSON, or more than a guest would send.
    """
    try:
        if len(body) > _MAX_VALUES // 2:
            bare = _STRING.sub(b"", body)
            if sum(map(bare.count, (b",", b"[", b"{"))) > _MAX_VALUES:
                raise FrameRefused("it holds too many values")
        message = json.loads(body, parse_constant=_refuse)
        cleaned = _cleaned(message, 0)
    except (ValueError, RecursionError) as error:
        raise FrameRefused("it cannot be read") from error
    if not isinstance(cleaned, dict):
        raise FrameRefused("it is no object")
    return cleaned


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _cleaned(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise ValueError("a number that JSON has not")
    if depth > MAX_DEPTH + 2:
        raise ValueError("nested too deep")
    if isinstance(value, list):
        return [_cleaned(one, depth + 1) for one in value]
    if isinstance(value, dict):
        return {clean(key): _cleaned(one, depth + 1) for key, one in value.items()}
    return value


def read_reply(body: bytes, job: Job) -> JobResult:
    """What a guest says came of a job.

    Raises:
        FrameRefused: No guest of ours says such a thing.
    """
    reply = parse(body)
    printed = {name: _printed(reply, name, job.limits.output) for name in ("stdout", "stderr")}
    common: dict[str, Any] = {
        "truncated": any(cut for _, cut in printed.values()),
        "duration_ms": _duration_ms(reply.get("duration_ms")),
    }
    stdout, stderr = printed["stdout"][0], printed["stderr"][0]
    if (error := reply.get("error")) is not None:
        failure = _failure(error, job)
        if failure.traceback:
            stderr = f"{stderr.rstrip()}\n{failure.traceback}".lstrip()
        return JobResult(failure=failure, stdout=stdout, stderr=stderr, **common)
    edits = tuple(_edits(reply.get("block_edits"), job))
    return JobResult(
        result=reply.get("result"), stdout=stdout, stderr=stderr, block_edits=edits, **common
    )


def _printed(reply: Mapping[str, Any], name: str, limit: int) -> tuple[str, bool]:
    text, count = reply.get(name, ""), reply.get(f"{name}_bytes", 0)
    if not isinstance(text, str) or not isinstance(count, int):
        raise FrameRefused("what the tool printed is no text")
    text = text[:limit]
    if count <= limit:
        return text, False
    return f"{text}\n[NOTE: {count:,} bytes were printed; the rest is left out]", True


def _duration_ms(told: Any) -> float:
    try:
        return float(told) if isinstance(told, int | float) else 0.0
    except OverflowError as error:
        raise FrameRefused("it took longer than there are numbers for") from error


def _failure(error: Any, job: Job) -> Failure:
    kind = error.get("kind") if isinstance(error, dict) else None
    if kind == "timeout":
        return timed_out(job)
    if kind == "died":
        return died(job, error.get("status"))
    if kind not in _RAISED:
        return not_understood(job)
    name, message, trace = (str(error.get(key) or "") for key in ("type", "message", "traceback"))
    name = name[:200] or "Exception"
    return Failure(
        kind=kind,
        message=_words(job, name, message[:_MESSAGE_CHARS]),
        type=name,
        traceback=trace[-_TRACEBACK_CHARS:],
    )


def _edits(edits: Any, job: Job) -> list[BlockEdit]:
    """Edits of blocks that the job was given, and may change, in the version that it was given."""
    given = {block["label"]: block for block in (job.agent_state or {}).get("blocks", ())}
    found: dict[str, BlockEdit] = {}
    for edit in edits if isinstance(edits, list) else ():
        label, value = (edit.get("label"), edit.get("value")) if isinstance(edit, dict) else ("", 0)
        block = given.get(label) if isinstance(label, str) else None
        if block is None or block.get("read_only") or not isinstance(value, str):
            raise FrameRefused("it changes what the tool was not given")
        found[block["label"]] = BlockEdit(block["label"], value, block.get("version", 0))
    return list(found.values())


def _words(job: Job, name: str, message: str) -> str:
    if name == "ModuleNotFoundError":
        message += " (name the package that has it in the tool's pip_requirements)"
    return f"Error executing function {job.function}: {name}: {message}"


def timed_out(job: Job) -> Failure:
    """It took longer than it may."""
    text = f"it ran for more than {job.limits.timeout_s:g} seconds and was stopped"
    return Failure("timeout", _words(job, "TimeoutError", text), "TimeoutError")


def out_of_memory(job: Job) -> Failure:
    """It, or all its processes, took more memory than they may."""
    text = f"it used more than {job.limits.memory // 1024**2} MB of memory and was stopped"
    return Failure("memory", _words(job, "MemoryError", text), "MemoryError")


def out_of_cpu(job: Job) -> Failure:
    """All its processes together took more CPU than they may, where no kernel holds them to it."""
    text = f"it used more than {job.limits.cpus:g} CPUs and was stopped"
    return Failure("timeout", _words(job, "TimeoutError", text), "TimeoutError")


def died(job: Job, status: Any = None) -> Failure:
    """Its process ended before the function returned."""
    text = "its process ended before the function returned"
    if isinstance(status, int) and not isinstance(status, bool):
        signal, code = status & 0x7F, (status >> 8) & 0xFF
        text += f" (signal {signal})" if signal else f" (exit code {code})"
    return Failure("died", _words(job, "ProcessEnded", text), "ProcessEnded")


def too_long(job: Job, reason: str) -> Failure:
    """It was not sent."""
    return Failure("source", _words(job, "ValueError", f"it was not run: {reason}"), "ValueError")


def was_killed(failure: Failure | None) -> bool:
    """Whether a tool's process died of a signal that no process can send to itself unseen."""
    return failure is not None and failure.kind == "died" and "(signal 9)" in failure.message


def not_understood(job: Job) -> Failure:
    """What it sent is not what a guest sends."""
    text = "its process sent an answer that cannot be read, so that nothing is known of its result"
    return Failure("frame", _words(job, "FrameError", text), "FrameError")
