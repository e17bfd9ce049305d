"""Stands in for O's own processes, living and dying as it does: `stub.py api|worker|migrate|…`."""

import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg

from server import lifeline


class _Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


def _migrate() -> None:
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute("create table if not exists note (text text primary key)")


def _api() -> None:
    port = int(os.environ["O_PORT"])
    with ThreadingHTTPServer((os.environ["O_HOST"], port), _Health) as server:
        lifeline.report_ready()
        server.serve_forever()


def _worker() -> None:
    lifeline.report_ready()
    threading.Event().wait()


def _stubborn() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _worker()


def _silent() -> None:
    threading.Event().wait()


def main() -> None:
    lifeline.follow_supervisor()
    parts = {"api": _api, "worker": _worker, "migrate": _migrate}
    (parts | {"stubborn": _stubborn, "silent": _silent})[sys.argv[1]]()


if __name__ == "__main__":
    main()
