"""The system calls that a tool may not make, as a BPF program for the kernel's seccomp.

A tool needs no new namespaces, no mounts, no tracing and no kernel interfaces beyond those of
files, processes and sockets: it is from the others that most ways out of a namespace come.
"""

import errno
import struct
from collections.abc import Sequence

_X86_64, _AARCH64 = 0xC000003E, 0xC00000B7

_DENIED: dict[str, tuple[int | None, int | None]] = {
    # Mounts and namespaces.
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    # Other processes' memory and files.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # Wide doors into the kernel.
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "userfaultfd": (323, 282),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "modify_ldt": (154, None),
    # The machine itself.
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "create_module": (174, None),
    "query_module": (178, None),
    "get_kernel_syms": (177, None),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "syslog": (103, 116),
    "acct": (163, 89),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "nfsservctl": (180, 42),
    "lookup_dcookie": (212, 18),
    "iopl": (172, None),
    "ioperm": (173, None),
    "vhangup": (153, 58),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "_sysctl": (156, None),
    "sysfs": (139, None),
    "ustat": (136, None),
    "uselib": (134, None),
    # Placement of memory, and memory that no limit of ours would see.
    "mbind": (237, 235),
    "set_mempolicy": (238, 237),
    "set_mempolicy_home_node": (450, 450),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
}
_ABSENT: dict[str, tuple[int, int]] = {
    # Its flags are in memory, where a filter cannot read them. C libraries then use clone.
    "clone3": (435, 435),
    # As the last group above; libraries do without.
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
}
_CLONE, _SOCKET, _PERSONALITY, _IOCTL = (56, 220), (41, 198), (135, 92), (16, 29)
_LAST_KNOWN = 450
"""Calls with larger numbers are younger than this list: they are not there, as on older kernels."""

_X32_BIT = 0x40000000
_NEW_NAMESPACE = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET
_FAMILIES = (1, 2, 10)  # unix, inet, inet6
_NETLINK = 16  # for its routes alone: C libraries list their own addresses with it
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # type for whoever sits at the terminal

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE = 0, 4
_Instruction = tuple[int, int, int, int]


def _argument(index: int) -> int:
    """Where the lower half of an argument is; both architectures are little-endian."""
    return 16 + 8 * index


def _refuse(number: int) -> _Instruction:
    return (_RETURN, 0, 0, _ERRNO | number)


def _unless_one_of(allowed: Sequence[int], error: int) -> list[_Instruction]:
    """Refuse what was loaded unless it is allowed."""
    tests = [(_EQUAL, len(allowed) - at, 0, value) for at, value in enumerate(allowed)]
    return [*tests, _refuse(error)]


def _of_call(number: int, body: list[_Instruction]) -> list[_Instruction]:
    """Run `body`, and allow what it lets through, where the call is this one."""
    whole = [*body, (_RETURN, 0, 0, _ALLOW)]
    return [(_EQUAL, 0, len(whole), number), *whole]


def program(machine: str) -> bytes:
    """The filter for a machine (`x86_64` or `aarch64`), as `struct sock_filter` after another.

    What is denied fails with EPERM. Calls of another architecture (32 bit, x32) end the process.

    Raises:
        KeyError: No filter is known for the machine.
    """
    at, architecture = {"x86_64": (0, _X86_64), "aarch64": (1, _AARCH64)}[machine]
    code: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32_BIT),
        (_RETURN, 0, 0, _KILL),
        (_AT_LEAST, 0, 1, _LAST_KNOWN + 1),
        _refuse(errno.ENOSYS),
    ]
    for numbers, error in (
        *((numbers, errno.EPERM) for numbers in _DENIED.values()),
        *((numbers, errno.ENOSYS) for numbers in _ABSENT.values()),
    ):
        if (number := numbers[at]) is not None:
            code += [(_EQUAL, 0, 1, number), _refuse(error)]
    code += _of_call(
        _CLONE[at],
        [(_LOAD, 0, 0, _argument(0)), (_ANY_BIT, 0, 1, _NEW_NAMESPACE), _refuse(errno.EPERM)],
    )
    code += _of_call(_SOCKET[at], _sockets())
    code += _of_call(
        _PERSONALITY[at],
        [(_LOAD, 0, 0, _argument(0)), *_unless_one_of((0, 0xFFFFFFFF), errno.EPERM)],
    )
    typed = [(_EQUAL, 0, 1, _TIOCSTI), _refuse(errno.EPERM)]
    typed += [(_EQUAL, 0, 1, _TIOCLINUX), _refuse(errno.EPERM)]
    code += _of_call(_IOCTL[at], [(_LOAD, 0, 0, _argument(1)), *typed])
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def _sockets() -> list[_Instruction]:
    """Local and IP sockets. Not vsock, which leads out of a virtual machine and no namespace holds.

    A socket of netlink must be one for routes, which its third argument says.
    """
    routes = [(_LOAD, 0, 0, _argument(2)), *_unless_one_of((0,), errno.EAFNOSUPPORT)]
    allow: _Instruction = (_RETURN, 0, 0, _ALLOW)
    return [
        (_LOAD, 0, 0, _argument(0)),
        (_EQUAL, 0, len(routes) + 1, _NETLINK),
        *routes,
        allow,
        *_unless_one_of(_FAMILIES, errno.EAFNOSUPPORT),
    ]


def forbidden(machine: str) -> dict[str, int]:
    """The numbers of the calls that the filter refuses whatever their arguments are, by name."""
    at = {"x86_64": 0, "aarch64": 1}[machine]
    every = {**_DENIED, **_ABSENT}
    return {name: number for name, both in every.items() if (number := both[at]) is not None}
