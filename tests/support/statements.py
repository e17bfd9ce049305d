"""What the product asks of its database, as the database itself logs it."""

import re
from collections.abc import Callable

from tests.support.product import Product, eventually

_ASKED = re.compile(r"o (?:api|worker)\|LOG:  (?:statement|(execute [^:]*)): (.*)", re.S)
_END = "end of the operation"


def log_statements(product: Product) -> None:
    """Have every statement logged, with the name of the process that sends it."""
    product.query("ALTER SYSTEM SET log_line_prefix = '%a|'")
    product.query("ALTER SYSTEM SET log_statement = 'all'")
    product.query("SELECT pg_reload_conf()")
    eventually(
        lambda: product.query("SHOW log_statement") == [("all",)], what="the log of statements"
    )


def statements_of(product: Product, operation: Callable[[], object]) -> list[tuple[str, str]]:
    """What the product's processes sent while `operation` ran: how it was sent, and its text."""
    log = product.data_dir / "logs" / "postgres.log"
    before = log.stat().st_size
    operation()
    product.query(f"SELECT '{_END}'")
    eventually(lambda: _END in log.read_text()[before:], what="the log's end")
    records = re.split(r"^(?!\t)", log.read_text()[before:], flags=re.M)
    found = [_ASKED.match(record) for record in records]
    return [(one[1] or "", one[2].strip()) for one in found if one]
