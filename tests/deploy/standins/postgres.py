"""What stands in for the image of PostgreSQL: its variables, its folder and its first start.

Run as root in a container, with the programs of the bundled PostgreSQL on the path.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

HOME = Path("/var/lib/postgresql/data")
_ACCOUNT = 999


def main() -> None:
    """Make the cluster where there is none, answering on its socket alone, and become it."""
    user, password = os.environ["POSTGRES_USER"], os.environ["POSTGRES_PASSWORD"]
    database = os.environ.get("POSTGRES_DB", user)
    HOME.mkdir(parents=True, exist_ok=True)
    os.chown(HOME, _ACCOUNT, _ACCOUNT)
    HOME.chmod(0o700)
    os.setgroups([])
    os.setgid(_ACCOUNT)
    os.setuid(_ACCOUNT)
    if not (HOME / "PG_VERSION").exists():
        _make(user, password, database)
    os.execvp("postgres", _command("-c", "listen_addresses=*"))


def _make(user: str, password: str, database: str) -> None:
    secret = Path("/tmp/password")
    secret.write_text(password)
    subprocess.run(
        ["initdb", "-D", HOME, "-U", user, "--pwfile", secret, "--auth-host=scram-sha-256"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    secret.unlink()
    with (HOME / "pg_hba.conf").open("a") as rules:
        rules.write("host all all all scram-sha-256\n")
    first = subprocess.Popen(_command("-c", "listen_addresses="))
    # As the real one, which runs scripts of its users meanwhile.
    while subprocess.run(["pg_isready", "-q", "-h", "/tmp", "-U", user], check=False).returncode:
        if first.poll() is not None:
            sys.exit("the first start of PostgreSQL failed")
        time.sleep(0.1)
    if database != "postgres":
        subprocess.run(["createdb", "-h", "/tmp", "-U", user, database], check=True)
    first.terminate()
    first.wait()


def _command(*more: str) -> list[str]:
    return ["postgres", "-D", str(HOME), "-c", "unix_socket_directories=/tmp", *more]


if __name__ == "__main__":
    main()
