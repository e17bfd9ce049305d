"""The filter of system calls: what it says of each call, read as the kernel reads it."""

import errno
import struct

import pytest

from sandbox import seccomp

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
CALLS = {
    "x86_64": {"read": 0, "clone": 56, "socket": 41, "ioctl": 16, "personality": 135, "execve": 59},
    "aarch64": {
        "read": 63,
        "clone": 220,
        "socket": 198,
        "ioctl": 29,
        "personality": 92,
        "execve": 221,
    },
}


def answer(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the kernel would do with a call."""
    given = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<iIQ6Q", number, architecture or ARCHITECTURES[machine], 0, *given)
    program = list(struct.iter_unpack("<HBBI", seccomp.program(machine)))
    at, value = 0, 0
    while True:
        code, yes, no, operand = program[at]
        if code == 0x06:
            return int(operand)
        if code == 0x20:
            value = struct.unpack_from("<I", data, operand)[0]
            at += 1
            continue
        holds = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}[code]
        at += 1 + (yes if holds else no)


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_what_a_tool_needs_is_let_through(machine: str) -> None:
    calls = CALLS[machine]
    assert answer(machine, calls["read"]) == ALLOW
    assert answer(machine, calls["execve"]) == ALLOW
    fork, thread = 0x01200011, 0x003D0F00
    for flags in (fork, thread):
        assert answer(machine, calls["clone"], flags) == ALLOW
    for family in (1, 2, 10):
        assert answer(machine, calls["socket"], family, 1) == ALLOW
    assert answer(machine, calls["socket"], 16, 3, 0) == ALLOW, "to list one's addresses"
    assert answer(machine, calls["ioctl"], 0, 0x5401) == ALLOW
    assert answer(machine, calls["personality"], 0xFFFFFFFF) == ALLOW


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_what_a_tool_does_not_need_is_refused(machine: str) -> None:
    calls = CALLS[machine]
    for name, number in seccomp.forbidden(machine).items():
        assert answer(machine, number) in {ERRNO | errno.EPERM, ERRNO | errno.ENOSYS}, name
    for bit in (17, 25, 26, 27, 28, 29, 30):
        assert answer(machine, calls["clone"], 1 << bit | 17) == ERRNO | errno.EPERM
    refused = ERRNO | errno.EAFNOSUPPORT
    for family in (3, 17, 38, 40, 44):
        assert answer(machine, calls["socket"], family, 1) == refused
    assert answer(machine, calls["socket"], 16, 3, 12) == refused, "netfilter"
    for typing in (0x5412, 0x541C):
        assert answer(machine, calls["ioctl"], 0, typing) == ERRNO | errno.EPERM
    assert answer(machine, calls["personality"], 0x0040000) == ERRNO | errno.EPERM
    assert answer(machine, 9_999) == ERRNO | errno.ENOSYS, "calls that are younger than the list"


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_calls_of_another_architecture_end_the_process(machine: str) -> None:
    for architecture in (0x40000003, 0x40000028, *ARCHITECTURES.values()):
        expected = ALLOW if architecture == ARCHITECTURES[machine] else KILL
        read = CALLS[machine]["read"]
        assert answer(machine, read, architecture=architecture) == expected
    assert answer("x86_64", 0x40000000) == KILL, "x32"
