"""Tools that take all they can get, and do not end when they are told to."""

from tests.sandbox.hostile.cases import ANY, STOPPED, Case

CASES = [
    Case(
        "forks without end",
        """
while True:
    try:
        os.fork()
    except OSError:
        pass
""",
        STOPPED,
        only_failure=True,
    ),
    Case(
        "forks that leave the session and ignore signals",
        """
def spread():
    for number in range(1, 32):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    while True:
        try:
            if os.fork() == 0:
                os.setsid()
        except OSError:
            time.sleep(0.01)
spread()
""",
        STOPPED,
        only_failure=True,
    ),
    Case(
        "threads without end",
        """
def wait():
    while True:
        time.sleep(100)
count = 0
while count < 5000:
    try:
        threading.Thread(target=wait, daemon=True).start()
        count += 1
    except RuntimeError:
        break
if count >= 200:
    gained.append(count)
""",
        STOPPED | {"raised"},
    ),
    Case(
        "processes: how many",
        """
children = []
try:
    while len(children) < 500:
        pid = os.fork()
        if pid == 0:
            time.sleep(20)
            os._exit(0)
        children.append(pid)
except OSError:
    pass
if len(children) > world["processes"]:
    gained.append(len(children))
""",
        STOPPED,
    ),
    Case(
        "memory in one process",
        "kept = []\nwhile True:\n    kept.append(bytearray(b'x' * (1 << 22)))",
        STOPPED | {"raised"},
        only_failure=True,
    ),
    Case(
        "memory in many processes",
        """
each = 24 << 20
for _ in range(16):
    if os.fork() == 0:
        kept = bytearray(b"x" * each)
        time.sleep(20)
        os._exit(0)
time.sleep(20)
""",
        STOPPED | {"raised"},
        only_failure=True,
    ),
    Case(
        "memory that is no process's",
        """
fds = []
for _ in range(60):
    fd = os.memfd_create("x")
    fds.append(fd)
    for _ in range(16):
        os.write(fd, b"x" * (1 << 20))
gained.append("a gigabyte")
""",
        STOPPED | {"raised"},
    ),
    Case(
        "a full disk",
        """
written = 0
for folder in ("/tmp", "/dev/shm", "/job", "/var/tmp", "/run", "/"):
    try:
        with open(folder + "/full", "wb", 0) as file:
            while True:
                written += file.write(b"x" * (1 << 20))
    except OSError:
        pass
if written > world["disk"] + (64 << 20):
    gained.append(written)
""",
        STOPPED,
    ),
    Case(
        "a disk of holes and of small files",
        """
made = 0
try:
    for number in range(200_000):
        os.close(os.open("/tmp/%d" % number, os.O_CREAT | os.O_WRONLY))
        made += 1
except OSError:
    pass
tries("hole", lambda: os.truncate("/tmp/0", 1 << 45) and None)
""",
        STOPPED,
    ),
    Case(
        "stdout without end",
        "while True:\n    os.write(1, b'x' * 65536)",
        STOPPED,
        only_failure=True,
    ),
    Case(
        "stderr without end",
        "while True:\n    os.write(2, b'x' * 65536)",
        STOPPED,
        only_failure=True,
    ),
    Case(
        "lines that drip for ever",
        "while True:\n    print('.', flush=True)\n    time.sleep(0.05)",
        STOPPED,
        only_failure=True,
    ),
    Case("a loop", "while True:\n    pass", STOPPED, only_failure=True),
    Case(
        "loops on every processor",
        """
for _ in range(8):
    if os.fork() == 0:
        while True:
            pass
while True:
    pass
""",
        STOPPED,
        only_failure=True,
    ),
    Case("one instruction that takes for ever", "10 ** 10 ** 10", STOPPED, only_failure=True),
    Case(
        "a pattern that takes for ever",
        "import re\nre.match('(a+)+$', 'a' * 64 + 'b')",
        STOPPED,
        only_failure=True,
    ),
    Case(
        "signals ignored",
        """
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
while True:
    time.sleep(100)
""",
        STOPPED,
        only_failure=True,
    ),
    Case(
        "whoever watches is stopped",
        """
for pid in (os.getppid(), 1, os.getpid()):
    try:
        os.kill(pid, signal.SIGSTOP)
    except OSError:
        pass
time.sleep(100)
""",
        STOPPED,
        only_failure=True,
    ),
    Case(
        "a stack without end",
        """
sys.setrecursionlimit(1 << 30)
def deeper(n):
    return deeper(n + 1)
deeper(0)
""",
        STOPPED | {"raised"},
        only_failure=True,
    ),
    Case(
        "file descriptors",
        """
kept = []
try:
    while len(kept) < 100_000:
        kept.extend(os.pipe())
except OSError:
    pass
if len(kept) > 5000:
    gained.append(len(kept))
""",
        STOPPED | {"raised"},
    ),
    Case(
        "a child that holds the pipes",
        """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(100)
    os._exit(0)
return []
""",
    ),
    Case(
        "an exit that never comes",
        "import atexit\natexit.register(time.sleep, 100)\n"
        "threading.Thread(target=time.sleep, args=(100,)).start()\nreturn []",
    ),
    Case(
        "an answer that is never whole",
        """
class Slow(dict):
    def items(self):
        while True:
            yield "a", 1
return Slow(a=1)
""",
        ANY,
        result=None,
    ),
    Case(
        "words of an error that never end",
        """
class Endless(Exception):
    def __str__(self):
        while True:
            pass
raise Endless()
""",
        STOPPED | {"raised"},
        only_failure=True,
    ),
]
