"""Inside a sandbox: leads a port of its loopback to the socket of the egress proxy.

HTTP clients find the port in the usual variables. It judges nothing: that is done outside, where
no tool can change it.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
from collections.abc import Mapping
from typing import Any

_PIECE = 64 * 1024
_DESCRIPTORS = 256
_LOOK_S = 1.0
_BACKLOG = 64
_VARIABLES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")


def start(network: Mapping[str, Any]) -> dict[str, str]:
    """Start the forwarder in a process of its own, which ends with this one.

    Call it where there is one thread, and before a tool's process is made.

    Args:
        network: What the job's frame says: `socket` and `environment`.

    Returns:
        Variables that the tool is to see.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(_BACKLOG)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    parent = os.getpid()
    if os.fork() == 0:
        _be_forwarder(listener, str(network["socket"]), parent)
    listener.close()
    # Nothing goes around the proxy: what it refuses is refused in words.
    around = {"no_proxy": "", "NO_PROXY": ""}
    return dict.fromkeys(_VARIABLES, address) | around | dict(network["environment"])


def _be_forwarder(listener: socket.socket, path: str, parent: int) -> None:
    """What the new process does; it never returns."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        kept = listener.fileno()
        os.closerange(0, kept)  # the frames go through these, and whoever reads them waits for ends
        os.closerange(kept + 1, _DESCRIPTORS)
        _forward(listener, path, parent)
    finally:
        os._exit(0)


def _forward(listener: socket.socket, path: str, parent: int) -> None:
    selector = selectors.DefaultSelector()
    listener.setblocking(False)
    selector.register(listener, selectors.EVENT_READ, None)
    while os.getppid() == parent:
        for key, _ in selector.select(_LOOK_S):
            if key.data is None:
                _accept(listener, path, selector)
            else:
                key.data.step()


def _accept(listener: socket.socket, path: str, selector: selectors.BaseSelector) -> None:
    try:
        near, _ = listener.accept()
    except OSError:
        return
    far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        far.connect(path)
    except OSError:
        near.close()
        far.close()
        return
    _Pair(near, far, selector)


class _Pair:
    """Two sockets, each of which gets what the other one says."""

    def __init__(
        self, near: socket.socket, far: socket.socket, selector: selectors.BaseSelector
    ) -> None:
        self._other = {near: far, far: near}
        self._waiting = {near: b"", far: b""}  # for whom, and what
        self._at_end: set[socket.socket] = set()
        self._is_closed = False
        self._selector = selector
        for one in self._other:
            one.setblocking(False)
        self._watch()

    def step(self) -> None:
        """Carry what can be carried now."""
        if self._is_closed:
            return  # both sockets had something to tell, and the first one's was the end
        try:
            for one, other in self._other.items():
                self._write(other)
                self._read(one, other)
            if len(self._at_end) == 2 and not any(self._waiting.values()):
                self._close()
            else:
                self._watch()
        except OSError:
            self._close()

    def _read(self, one: socket.socket, other: socket.socket) -> None:
        if one in self._at_end or self._waiting[other]:
            return
        try:
            piece = one.recv(_PIECE)
        except BlockingIOError:
            return
        if piece:
            self._waiting[other] = piece
            self._write(other)
        else:
            self._at_end.add(one)
            other.shutdown(socket.SHUT_WR)

    def _write(self, one: socket.socket) -> None:
        if self._waiting[one]:
            try:
                sent = one.send(self._waiting[one])
            except BlockingIOError:
                return
            self._waiting[one] = self._waiting[one][sent:]

    def _watch(self) -> None:
        for one, other in self._other.items():
            may_read = one not in self._at_end and not self._waiting[other]
            events = may_read * selectors.EVENT_READ
            events |= bool(self._waiting[one]) * selectors.EVENT_WRITE
            known = self._selector.get_map().get(one)
            if known is not None and events:
                self._selector.modify(one, events, self)
            elif known is not None:
                self._selector.unregister(one)
            elif events:
                self._selector.register(one, events, self)

    def _close(self) -> None:
        self._is_closed = True
        for one in self._other:
            if self._selector.get_map().get(one) is not None:
                self._selector.unregister(one)
            one.close()
