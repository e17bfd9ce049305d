"""What the product asks of its database, as the database itself logs it."""

import re
from collections.abc import Callable

from tests.support.product import Product, eventually

_END = "end of the operation"
REQUESTS = "o (?:api|worker)"
FOLLOWING = "o api follow"
"""The connection that reads for all who follow a run."""


def log_statements(product: Product) -> None:
    """Have every statement logged, with the name of the process that sends it."""
    product.query("ALTER SYSTEM SET log_line_prefix = '%a|'")
    product.query("ALTER SYSTEM SET log_statement = 'all'")
    product.query("SELECT pg_reload_conf()")
    eventually(
        lambda: product.query("SHOW log_statement") == [("all",)], what="the log of statements"
    )


class StatementLog:
    """What has been sent since this was made."""

    def __init__(self, product: Product) -> None:
        self._file = product.data_dir / "logs" / "postgres.log"
        self._start = self._file.stat().st_size

    def text(self) -> str:
        """All that was logged."""
        with self._file.open() as log:
            log.seek(self._start)
            return log.read()

    def sent_by(self, who: str) -> list[tuple[str, str]]:
        """What connections of that name sent: how it was sent, and its text."""
        asked = re.compile(rf"{who}\|LOG:  (?:statement|(execute [^:]*)): (.*)", re.S)
        records = re.split(r"^(?!\t)", self.text(), flags=re.M)
        found = [asked.match(record) for record in records]
        return [(one[1] or "", one[2].strip()) for one in found if one]


def statements_of(product: Product, operation: Callable[[], object]) -> list[tuple[str, str]]:
    """What the product's processes sent while `operation` ran: how it was sent, and its text."""
    log = StatementLog(product)
    operation()
    product.query(f"SELECT '{_END}'")
    eventually(lambda: _END in log.text(), what="the log's end")
    return log.sent_by(REQUESTS)
