"""The tests' provider of models, as a service beside those of the compose file."""

import sys
import threading

from tests.support.provider import FakeProvider

if __name__ == "__main__":
    FakeProvider(host="0.0.0.0", port=int(sys.argv[1])).start()
    threading.Event().wait()
