"""Says as JSON what bubblewrap finds here, for environments that only another process can be in.

It imports nothing that is installed, so that the system's Python can run it for anybody.
"""

import asyncio
import json
import logging
import sys
from dataclasses import asdict

from sandbox.bubblewrap.backend import BubblewrapSandbox
from sandbox.protocol import Limits


async def main() -> None:
    """Look, and leave nothing."""
    backend = BubblewrapSandbox(Limits(), pool=0)
    state = await backend.look()
    await backend.close()
    sys.stdout.write(json.dumps(asdict(state)))


logging.disable()
asyncio.run(main())
