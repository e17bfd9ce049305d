"""An `o up` whose own processes are stubs: `started.py '{"data_dir": …}'`. See `product.py`."""

import asyncio
import json
import sys
from pathlib import Path

from o.errors import OError
from o.log import configure_logging
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from server.up import processes, supervisor
from server.up.commands import Commands


def main() -> int:
    wanted = json.loads(sys.argv[1])
    stub = (sys.executable, str(Path(__file__).with_name("stub.py")))
    commands = Commands(
        api=(*stub, "api"),
        worker=(*stub, wanted.pop("worker", "worker")),
        migrate=(*stub, "migrate"),
        local_model=(*stub, wanted.pop("local_model", "worker")),
    )
    private = {name: wanted.pop(name) for name in ("namespaces", "patience_s") if name in wanted}
    processes.WORKER_GRACE_S = wanted.pop("worker_grace_s", processes.WORKER_GRACE_S)
    configure_logging()
    try:
        return asyncio.run(
            supervisor.run(Settings(**wanted), ProviderSettings(), commands=commands, **private)
        )
    except OError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
