"""What stands in for the image of Temporal: a development server where the real one listens.

It reads the real one's variables and file, and sees that its database takes the account that it
is given; what it keeps is in a file of its own.
"""

import json
import os
from pathlib import Path

import psycopg
import yaml


def main() -> None:
    """Check what it is told, and become the server."""
    os.environ["PGPASSWORD"] = os.environ["POSTGRES_PWD"]
    with psycopg.connect(
        host=os.environ["POSTGRES_SEEDS"],
        port=os.environ["DB_PORT"],
        user=os.environ["POSTGRES_USER"],
        dbname="postgres",
    ):
        pass
    told = yaml.safe_load(Path("/etc/temporal", os.environ["DYNAMIC_CONFIG_FILE_PATH"]).read_text())
    command = ["temporal", "server", "start-dev", "--headless", "--ip", "0.0.0.0"]
    command += [
        "--port",
        "7233",
        "--namespace",
        os.environ["DEFAULT_NAMESPACE"],
        "--log-level",
        "warn",
    ]
    command += ["--db-filename", "/tmp/temporal.db"]
    for name, [only] in told.items():
        command += ["--dynamic-config-value", f"{name}={json.dumps(only['value'])}"]
    os.execvp("temporal", command)


if __name__ == "__main__":
    main()
