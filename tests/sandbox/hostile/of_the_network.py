"""Tools that reach for networks, past the egress proxy and through it."""

from tests.sandbox.hostile.cases import ANY, STOPPED, Case

CASES = [
    Case(
        "loopback of the host",
        """
for host in ("127.0.0.1", "::1", "0.0.0.0", "localhost", "127.1", "2130706433"):
    asks(host, world["port"], world["token"].encode())
""",
    ),
    Case(
        "other addresses of the host, and private ones",
        """
for host in [*world["addresses"], "172.17.0.1", "10.0.0.1", "192.168.0.1", "100.64.0.1"]:
    asks(host, world["port"], world["token"].encode())
""",
    ),
    Case(
        "metadata of the cloud",
        """
for host in ("169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254"):
    asks(host, 80, b"GET / HTTP/1.0\\r\\n\\r\\n")
""",
    ),
    Case(
        "the internet without the proxy",
        """
for host in ("1.1.1.1", "8.8.8.8", "2606:4700:4700::1111"):
    asks(host, 443)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
tries("udp", lambda: udp.sendto(b"x", ("8.8.8.8", 53)))
tries("name", lambda: socket.gethostbyname("example.com"))
""",
    ),
    Case(
        "interfaces",
        """
names = [name for _, name in socket.if_nameindex() if name != "lo"]
if names:
    gained.append(names)
if os.path.exists("/sys/class/net"):
    gained.extend(name for name in os.listdir("/sys/class/net") if name != "lo")
gained.extend(line.split()[0] for line in open("/proc/net/route").readlines()[1:])
""",
    ),
    Case(
        "packets by hand",
        """
for family, kind, number in ((socket.AF_INET, socket.SOCK_RAW, 1), (17, socket.SOCK_RAW, 0x300),
                             (socket.AF_INET6, socket.SOCK_RAW, 58)):
    tries(str(family), lambda: socket.socket(family, kind, number).fileno())
def link():
    line = socket.socket(16, socket.SOCK_RAW, 0)
    line.bind((0, 0))
    line.send(struct.pack("IHHIIBxHiII", 32, 16, 0x605, 1, 0, 0, 0, 0, 1, 1))
    return struct.unpack("i", line.recv(4096)[16:20])[0] == 0
tries("a new interface", link)
def machine():
    line = socket.socket(40, socket.SOCK_STREAM)
    line.settimeout(1)
    line.connect((2, 22))
    return "connected"
tries("vsock", machine)
""",
    ),
    Case(
        "the proxy, to what is not public",
        """
for host in ("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "169.254.169.254", "10.0.0.1", "127.1",
             "2130706433", "0x7f000001", "0177.0.0.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
             "[64:ff9b::7f00:1]", "metadata.google.internal", "loopback.test", "127.0.0.1.",
             "localhost.", "%31%32%37.0.0.1", "192.168.1.1", "[fe80::1]", "[fd00:ec2::254]",
             "0", "127.0.0.1%00.example.com"):
    for port in (world["port"], 80):
        request = "GET http://%s:%d/%s HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n"
        answer = proxied((request % (host, port, world["token"], host)).encode())
        if answer.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2")) or world["token"].encode() in answer:
            gained.append([host, answer[:100].decode("latin-1")])
""",
        network=True,
    ),
    Case(
        "the proxy, as a tunnel",
        """
for host in ("127.0.0.1:%d" % world["port"], "localhost:%d" % world["port"], "169.254.169.254:80",
             "[::1]:%d" % world["port"], "loopback.test:443", "example.com:22", "10.0.0.1:5432",
             "2130706433:%d" % world["port"], "/run/docker.sock", ":80", "a" * 5000 + ":80"):
    answer = proxied(("CONNECT %s HTTP/1.1\\r\\nHost: example.com\\r\\n\\r\\n" % host).encode())
    if answer.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2")):
        gained.append([host, answer[:100].decode("latin-1")])
""",
        network=True,
    ),
    Case(
        "the proxy, by requests that say two things",
        """
inner, here = "127.0.0.1:%d" % world["port"], world["allowed"]
token = world["token"]
for request in (
    "GET http://%s/ HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n" % (here, inner),
    "GET / HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n" % inner,
    "GET http://%s@%s/ HTTP/1.1\\r\\n\\r\\n" % (here, inner),
    "GET http://%s\\\\@%s/ HTTP/1.1\\r\\n\\r\\n" % (inner, here),
    "GET http://%s#@%s/ HTTP/1.1\\r\\n\\r\\n" % (inner, here),
    "GET http://%s/ HTTP/1.1\\r\\n\\r\\nGET http://%s/ HTTP/1.1\\r\\n\\r\\n" % (here, inner),
    "POST http://%s/ HTTP/1.1\\r\\nContent-Length: 0\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
    "0\\r\\n\\r\\nGET http://%s/ HTTP/1.1\\r\\n\\r\\n" % (here, inner),
    "GET http://%s/ HTTP/1.1\\nHost: %s\\n\\n" % (inner, here),
    "GET\\thttp://%s/\\tHTTP/1.1\\r\\n\\r\\n" % inner,
    "GET http://%s/ HTTP/0.9\\r\\n\\r\\n" % inner,
    "GET file:///etc/passwd HTTP/1.1\\r\\n\\r\\n", "GET ftp://%s/ HTTP/1.1\\r\\n\\r\\n" % inner,
    "GET gopher://%s/ HTTP/1.1\\r\\n\\r\\n" % inner, "\\x05\\x01\\x00", "\\x16\\x03\\x01\\x00\\xa5",
):
    proxied(request.replace(" HTTP", token + " HTTP").encode("latin-1"), 0.2)
""",
        STOPPED,
        network=True,
    ),
    Case(
        "a redirect to loopback, from a host that is allowed",
        """
import urllib.request
tries("redirect", lambda: urllib.request.urlopen(
    "http://%s/redirect" % world["allowed"], timeout=3).read())
""",
        network=True,
    ),
    Case(
        "this server's own API, without leave",
        """
for place in ("o.internal", "O.INTERNAL", "o.internal:80", "o.internal."):
    answer = proxied(("GET http://%s/v1/agents/ HTTP/1.1\\r\\nHost: o.internal\\r\\n"
                      "Authorization: Bearer of-this-call\\r\\n\\r\\n" % place).encode())
    if answer.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2")):
        gained.append(place)
""",
        network=True,
    ),
    Case(
        "the proxy's socket and folder",
        """
for path in ("/run/o/egress", "/run/o/ca.pem", "/run/o"):
    tries("remove " + path, lambda: os.remove(path) or "removed")
    tries("rename " + path, lambda: os.rename(path, "/tmp/x") or "renamed")
    tries("link " + path, lambda: os.link(path, "/tmp/linked") or "linked")
    tries("chmod " + path, lambda: os.chmod(path, 0) or "changed")
writes("/run/o/ca.pem")
gained.extend(set(os.listdir("/run/o")) - {"egress", "ca.pem"})
""",
        network=True,
    ),
    Case(
        "the proxy's patience: lines without end",
        """
lines = []
for _ in range(150):
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(0.2)
    try:
        line.connect("/run/o/egress")
        line.sendall(b"GET http://example.com/" + b"a" * 1000)
        lines.append(line)
    except OSError:
        pass
line = socket.socket(socket.AF_UNIX)
line.settimeout(0.5)
try:
    line.connect("/run/o/egress")
    for _ in range(2000):
        line.sendall(b"X-More: " + b"a" * 60000 + b"\\r\\n")
except OSError:
    pass
""",
        STOPPED | {"raised"},
        network=True,
    ),
    Case(
        "no network, and a proxy asked all the same",
        """
tries("variable", lambda: os.environ["HTTP_PROXY"] and proxied(
    b"GET http://%s/ HTTP/1.1\\r\\n\\r\\n" % world["allowed"].encode()).startswith(b"HTTP/1.1 2"))
for path in ("/run/o/egress", "/egress/egress"):
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(1)
    def asked():
        line.connect(path)
        line.sendall(b"GET http://%s/ HTTP/1.1\\r\\n\\r\\n" % world["allowed"].encode())
        return line.recv(100).startswith(b"HTTP/1.1 2")
    tries(path, asked)
""",
        ANY,
    ),
]
