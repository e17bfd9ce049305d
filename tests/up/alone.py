"""Run in a network namespace of its own: a product without a key, which speaks to an agent.

Prints what it found as JSON. The kernel counts every attempt to reach what is not on loopback,
look-ups of names included.
"""

import contextlib
import fcntl
import json
import socket
import struct
import sys
from pathlib import Path

from tests.support.product import Product

_SET_FLAGS, _UP = 0x8914, 0x41  # SIOCSIFFLAGS; IFF_UP | IFF_RUNNING


def attempts() -> int:
    """How often something in this namespace had no way to where it wanted to send."""
    with open("/proc/net/snmp") as file:
        names, counts = (line.split() for line in file if line.startswith("Ip:"))
    with open("/proc/net/snmp6") as file:
        six = dict(line.split() for line in file)
    found = dict(zip(names, counts, strict=True))
    return int(found["OutNoRoutes"]) + int(six["Ip6OutNoRoutes"])


def main(data_dir: Path) -> None:
    """Raise loopback, start a product, speak to an agent, stop."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))
    product = Product(data_dir)
    try:
        product.start()
        client = product.client()
        models = [model.handle for model in client.models.list()]
        agent = client.agents.create(name="Ada", model=models[0])
        answers = [
            [
                message.message_type
                for message in client.agents.messages.create(agent.id, input=said).messages
            ]
            for said in ("Hello!", "Who are you?")
        ]
    finally:
        product.stop()
    made = attempts()
    outward = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with outward, contextlib.suppress(OSError):
        outward.connect(("192.0.2.1", 53))  # connecting sends nothing; the kernel counts it
    found = {"models": models, "answers": answers, "made": made, "after": attempts()}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
