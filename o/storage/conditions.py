"""Conditions that partial indexes are made for.

Their values stand in the text of a statement. As parameters they would hide from a plan that is
made once for all values that the index may be used, and it would read the whole table.
"""

from sqlalchemy import ColumnElement, FromClause, literal_column

from o.domain.approvals import ApprovalStatus
from o.domain.runs import OPEN_STATUSES
from o.storage.tables.core import approvals, runs


def _literal(value: str) -> ColumnElement[str]:
    return literal_column(f"'{value}'")


def is_open(these: FromClause) -> ColumnElement[bool]:
    """Holds for runs that are not finished, in `runs` or an alias of it."""
    return these.c.status.in_([_literal(one) for one in sorted(OPEN_STATUSES)])


IS_OPEN = is_open(runs)
"""The same for `runs` itself."""

IS_PENDING: ColumnElement[bool] = approvals.c.status == _literal(ApprovalStatus.PENDING)
"""Holds for approval requests that wait for an answer."""
