"""Tools that reach for the machine: its files, environment, processes, devices and kernel."""

from tests.sandbox.hostile.cases import STOPPED, Case

CASES = [
    Case(
        "a file of the host, by many ways",
        """
path = world["canary"]
for way in (path, "/proc/1/root" + path, "/proc/self/root" + path, "/proc/self/cwd" + path,
            "../" * 30 + path, "/proc/%d/root%s" % (os.getppid(), path), "/tmp/../.." + path,
            "/run/o/../.." + path, "/deps/../.." + path, "/oldroot" + path, "/newroot" + path):
    reads(way)
for fd in range(3, 256):
    tries("fd %d" % fd, lambda: os.open(path.lstrip("/"), os.O_RDONLY, dir_fd=fd))
""",
    ),
    Case(
        "files of the server",
        """
for path in world["files"]:
    reads(path)
    tries("list " + path, lambda: os.listdir(path))
for name in ("shadow", "gshadow", "sudoers", "ssh/ssh_host_rsa_key", "machine-id", "pip.conf"):
    reads("/etc/" + name)
for path in ("/root/.ssh", "/root/.cache", "/work", "/var/lib/docker", "/boot"):
    tries("list " + path, lambda: os.listdir(path))
""",
    ),
    Case(
        "a walk over everything that can be read, for the canary",
        """
wanted, begun = world["canary_reversed"][::-1].encode(), time.monotonic()
for top in ("/tmp", "/dev/shm", "/run", "/var", "/home", "/root", "/etc", "/mnt", "/srv", "/opt"):
    for folder, _, names in os.walk(top):
        for name in names:
            if time.monotonic() - begun > 1:
                return gained
            try:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and wanted in open(path, "rb").read(65536):
                    gained.append(path)
            except OSError:
                pass
""",
    ),
    Case(
        "the engine's socket",
        """
for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock",
             "/run/podman/podman.sock", "/run/systemd/private", "/run/dbus/system_bus_socket"):
    line = socket.socket(socket.AF_UNIX)
    tries(path, lambda: line.connect(path) or "connected")
""",
    ),
    Case(
        "a socket of the host",
        """
for address in (world["unix_socket"], "\\0" + world["abstract_socket"]):
    line = socket.socket(socket.AF_UNIX)
    tries(repr(address), lambda: line.connect(address) or "connected")
""",
    ),
    Case(
        "the worker's environment",
        """
secret = world["secret_reversed"][::-1]
for name, value in os.environ.items():
    if secret in value:
        gained.append(name)
    if name.startswith(("O_", "OPENAI", "PG", "TEMPORAL", "AWS")) and name != "O_IDEMPOTENCY_KEY":
        gained.append(name)
for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/task/*/environ"):
    try:
        if secret.encode() in open(path, "rb").read():
            gained.append(path)
    except OSError:
        pass
""",
    ),
    Case(
        "the memory of whoever started it",
        """
secret = world["secret_reversed"][::-1].encode()
for pid in (1, os.getppid()):
    try:
        for line in open("/proc/%d/maps" % pid):
            span, rights = line.split()[:2]
            first, last = (int(part, 16) for part in span.split("-"))
            if "r" in rights and last - first < 1 << 26 and first < 1 << 62:
                with open("/proc/%d/mem" % pid, "rb", 0) as memory:
                    memory.seek(first)
                    if secret in memory.read(last - first):
                        gained.append(line)
    except OSError:
        pass
""",
        STOPPED,
    ),
    Case(
        "processes of the host",
        """
if os.path.exists("/proc/%d" % world["pid"]):
    command = open("/proc/%d/cmdline" % world["pid"], "rb").read()
    if b"pytest" in command or world["token"].encode() in command:
        gained.append(command.decode())
for path in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        if b"pytest" in open(path, "rb").read():
            gained.append(path)
    except OSError:
        pass
if len(glob.glob("/proc/[0-9]*")) > 20:
    gained.append("many processes")
""",
    ),
    Case(
        "signals to everybody",
        """
for number in (signal.SIGTERM, signal.SIGKILL):
    for pid in world["pids"]:
        try:
            os.kill(pid, number)
        except OSError:
            pass
    try:
        os.kill(-1, number)
    except OSError:
        pass
""",
        STOPPED,
    ),
    Case(
        "ptrace",
        """
for pid in (1, os.getppid(), *world["pids"]):
    libc.ptrace(16, pid, 0, 0)
    libc.ptrace(0x4206, pid, 0, 0)
local, remote = ctypes.create_string_buffer(64), ctypes.c_char_p(0)
for pid in world["pids"]:
    vector = (ctypes.c_void_p * 2)(ctypes.addressof(local), 64)
    calls("process_vm_readv", 310, pid, vector, 1, vector, 1, 0)
""",
        STOPPED,
    ),
    Case(
        "mounts",
        """
for kind in (b"tmpfs", b"proc", b"sysfs", b"cgroup", b"cgroup2", b"overlay", b"devtmpfs", b"ext4"):
    tries(kind, lambda: libc.mount(kind, b"/tmp", kind, 0, None) == 0)
tries("bind", lambda: libc.mount(b"/proc/1/root", b"/tmp", None, 4096, None) == 0)
tries("remount", lambda: libc.mount(None, b"/", None, 32, None) == 0)
tries("umount", lambda: any(libc.umount2(p, 2) == 0 for p in (b"/", b"/tmp", b"/proc", b"/dev")))
calls("fsopen", 430, b"tmpfs", 0)
calls("open_tree", 428, -100, b"/", 1)
calls("pivot_root", 155, b"/tmp", b"/tmp")
""",
    ),
    Case(
        "namespaces of its own",
        """
for name, flag in {"user": 0x10000000, "mount": 0x20000, "net": 0x40000000, "pid": 0x20000000,
                   "cgroup": 0x2000000, "ipc": 0x8000000}.items():
    if os.fork() == 0:
        if libc.unshare(flag) == 0:
            os._exit(7)
        os._exit(0)
    if os.wait()[1] >> 8 == 7:
        gained.append(name)
for path in glob.glob("/proc/1/ns/*") + glob.glob("/proc/%d/ns/*" % os.getppid()):
    try:
        if libc.setns(os.open(path, os.O_RDONLY), 0) == 0 and "user" not in path:
            gained.append(path)
    except OSError:
        pass
""",
    ),
    Case(
        "clone into a user namespace",
        """
if os.uname().machine != "x86_64":
    return gained
if os.fork() == 0:
    pid = libc.syscall(56, 0x10000000 | 0x20000 | 17, 0, 0, 0, 0)
    os._exit(7 if pid >= 0 and pid != 0 else 0)
if os.wait()[1] >> 8 == 7:
    gained.append("clone")
""",
    ),
    Case(
        "a way out of the root",
        """
os.makedirs("/tmp/inner", exist_ok=True)
fd = os.open("/", os.O_RDONLY)
tries("chroot", lambda: os.chroot("/tmp/inner") or "chrooted")
tries("fchdir", lambda: os.fchdir(fd) or os.path.exists("../" * 30 + world["canary"].lstrip("/")))
""",
    ),
    Case(
        "devices",
        """
for name in ("mem", "kmem", "port", "kmsg", "kvm", "fuse", "sda", "vda", "nvme0n1", "loop0",
             "loop-control", "mapper/control", "net/tun", "vhost-net", "uinput", "dri/card0"):
    tries(name, lambda: os.open("/dev/" + name, os.O_RDWR))
for path in glob.glob("/dev/sd*") + glob.glob("/dev/vd*") + glob.glob("/dev/dm-*"):
    tries(path, lambda: os.open(path, os.O_RDONLY))
for number in (os.makedev(8, 0), os.makedev(1, 1), os.makedev(259, 0)):
    tries("mknod", lambda: os.mknod("/tmp/node", 0o660 | 0o060000, number) or "made")
    tries("mknod", lambda: os.mknod("/tmp/node2", 0o660 | 0o020000, number) or "made")
""",
    ),
    Case(
        "root",
        """
if os.getuid() == 0 or os.geteuid() == 0:
    gained.append("root")
for call in (os.setuid, os.setgid, os.seteuid):
    tries(call.__name__, lambda: call(0) or "became root")
tries("setgroups", lambda: os.setgroups([0, 999]) or "groups")
status = dict(l.split(":\\t", 1) for l in open("/proc/self/status") if ":\\t" in l)
for name in ("CapEff", "CapPrm", "CapAmb"):
    if int(status[name], 16):
        gained.append(name)
if status["NoNewPrivs"].strip() != "1":
    gained.append("new privileges")
""",
    ),
    Case(
        "programs that make root",
        """
for folder in ("/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin", "/usr/lib/openssh"):
    for path in glob.glob(folder + "/*"):
        try:
            if os.stat(path).st_mode & 0o6000:
                shown = subprocess.run([path, "--version"], capture_output=True, timeout=1)
        except (OSError, subprocess.TimeoutExpired):
            pass
done = subprocess.run("su -c id 2>&1; sudo -n id 2>&1; mount -t tmpfs x /tmp 2>&1 && echo uid=0",
                      shell=True, capture_output=True, text=True, timeout=1)
if "uid=0" in done.stdout:
    gained.append(done.stdout)
""",
        STOPPED | {"raised"},
    ),
    Case(
        "files that are not its own",
        """
for path in ("/x", "/etc/passwd", "/etc/hosts", "/usr/x", "/usr/bin/x", "/dev/x", "/run/x", "/o/x",
             "/run/o/x", "/deps/x", "/lib/x", sys.executable, os.__file__):
    writes(path)
for path in (os.__file__, "/etc/passwd", "/bin/sh"):
    tries("remove " + path, lambda: os.remove(path) or "removed")
    tries("chmod " + path, lambda: os.chmod(path, 0o777) or "changed")
""",
    ),
    Case(
        "switches of the kernel",
        """
for path in ("kernel/core_pattern", "kernel/hostname", "kernel/modprobe", "vm/overcommit_memory",
             "net/ipv4/ip_forward", "kernel/panic", "fs/binfmt_misc/register"):
    opens("/proc/sys/" + path)
opens("/proc/sysrq-trigger")
for path in glob.glob("/sys/fs/cgroup/*/release_agent") + ["/sys/kernel/uevent_helper",
            "/sys/fs/cgroup/cgroup.procs", "/sys/power/state", "/sys/fs/cgroup/memory.max",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes"]:
    opens(path)
for path in ("/proc/kcore", "/proc/kmsg", "/proc/keys", "/sys/firmware/efi/efivars"):
    reads(path)
""",
    ),
    Case(
        "system calls for whoever runs the machine",
        """
text = ctypes.create_string_buffer(b"x" * 128)
for name, number in {"bpf": 321, "init_module": 175, "finit_module": 313, "kexec_load": 246,
                     "perf_event_open": 298, "open_by_handle_at": 304, "add_key": 248,
                     "keyctl": 250, "lookup_dcookie": 212,
                     "swapon": 167, "reboot": 169, "sethostname": 170, "settimeofday": 164,
                     "acct": 163, "quotactl": 179, "iopl": 172, "ioperm": 173,
                     "syslog": 103, "userfaultfd": 323, "fanotify_init": 300}.items():
    if name in ("reboot", "settimeofday"):
        calls(name, number, 0, 0, 0, 0)
    elif name == "bpf":
        calls(name, number, 0, text, 72)
    elif name == "keyctl":
        calls(name, number, 0, -3, 1)
    elif name == "syslog":
        calls(name, number, 3, text, 100)
    elif name == "userfaultfd":
        libc.syscall(number, 0)
    else:
        calls(name, number, text, 8, text, 0, 0)
""",
    ),
    Case(
        "limits raised, and a better place in the queue",
        """
for name in ("RLIMIT_NOFILE", "RLIMIT_CORE"):
    kind = getattr(resource, name)
    tries(name, lambda: resource.setrlimit(kind, (1 << 20, 1 << 20)) or "raised")
tries("nice", lambda: os.setpriority(os.PRIO_PROCESS, 0, -10) or "nicer")
tries("realtime", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50)) or "set")
tries("ioprio", lambda: libc.syscall(251, 1, 0, (1 << 13) | 0) == 0)
""",
    ),
    Case(
        "keys typed into the terminal of the operator",
        """
import fcntl, termios
tries("tty", lambda: os.open("/dev/tty", os.O_RDWR))
for fd in range(10):
    tries("TIOCSTI %d" % fd, lambda: fcntl.ioctl(fd, termios.TIOCSTI, b"#") or "typed")
""",
    ),
    Case(
        "shared memory of the host",
        """
for path in glob.glob("/dev/shm/*") + glob.glob("/dev/mqueue/*"):
    gained.append(path)
for path in ("/proc/sysvipc/shm", "/proc/sysvipc/sem", "/proc/sysvipc/msg"):
    if os.path.exists(path) and len(open(path).readlines()) > 1:
        gained.append(path)
""",
    ),
    Case(
        "a dump of its memory",
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\nos.abort()",
        STOPPED,
        only_failure=True,
    ),
]
