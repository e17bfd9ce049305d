"""Runs a program under a filter that forbids namespaces and mounts, as that of a container does."""

import ctypes
import os
import platform
import struct
import sys

_CALLS = {"x86_64": (272, 56, 435, 165), "aarch64": (97, 220, 435, 40)}
_NEW_NAMESPACE = 0x7E020000
_EPERM, _ENOSYS, _ALLOW = 0x50001, 0x50026, 0x7FFF0000


def forbid() -> None:
    """For this process and all that it starts."""
    unshare, clone, clone3, mount = _CALLS[platform.machine()]
    code = [
        (0x20, 0, 0, 0),
        *((0x15, 0, 1, unshare), (0x06, 0, 0, _EPERM)),
        *((0x15, 0, 1, mount), (0x06, 0, 0, _EPERM)),
        *((0x15, 0, 1, clone3), (0x06, 0, 0, _ENOSYS)),
        *((0x15, 0, 3, clone), (0x20, 0, 0, 16)),
        *((0x45, 0, 1, _NEW_NAMESPACE), (0x06, 0, 0, _EPERM)),
        (0x06, 0, 0, _ALLOW),
    ]
    program = b"".join(struct.pack("<HBBI", *instruction) for instruction in code)
    held = ctypes.create_string_buffer(program)
    described = struct.pack("HxxxxxxP", len(code), ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((38, 1, 0, 0, 0), (22, 2, described, 0, 0)):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "no filter could be set")


if __name__ == "__main__":
    forbid()
    os.execv(sys.argv[1], sys.argv[1:])
