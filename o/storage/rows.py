"""Rows as domain models and back.

A row may hold what cannot be read: JSON that is deeper than readers go, or what a later version
wrote. By itself it is `Unreadable`. In lists that clients page through it is left out, so that one
bad row never takes the good ones with it; where something follows from what is there, nothing may
be left out in silence (`all_models_of`, `sort_out`).
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from sqlalchemy import RowMapping, Table
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.sql.elements import ColumnElement

from o.errors import NotFound, Unreadable

_log = logging.getLogger(__name__)
_Model = TypeVar("_Model", bound=BaseModel)
_Read = TypeVar("_Read")
_Row = TypeVar("_Row")


class UnreadableJson:
    """Stands for JSON that could not be read. No model takes it."""


def read_json(stored: str | bytes) -> Any:
    """The value of a JSON column, `UnreadableJson` where it cannot be read.

    The driver reads whole result sets: an error here would take every row with it.
    """
    try:
        return from_json(stored)
    except ValueError:
        return UnreadableJson()


def model_of(model: type[_Model], row: RowMapping | Mapping[str, Any]) -> _Model:
    """The row as a `model`. Columns that the model does not have are ignored.

    Raises:
        Unreadable: The row does not hold what the model takes.
    """
    try:
        return model.model_validate(dict(row))
    except ValidationError:
        raise Unreadable(model.__name__, str(row.get("id"))) from None


def model_of_json(model: type[_Model], stored: Any, row_id: str) -> _Model:
    """What a statement put together as JSON, as a `model`: text, or a value of a JSON column.

    Raises:
        Unreadable: It is not what the model takes; `row_id` says it, or what was asked for.
    """
    try:
        if isinstance(stored, str):
            return model.model_validate_json(stored)
        return model.model_validate(stored)
    except ValidationError:
        raise Unreadable(model.__name__, row_id) from None


def models_of_json(model: type[_Model], stored: Any, of: str) -> list[_Model]:
    """Each item of a list that a statement put together as JSON, as a `model`.

    Raises:
        Unreadable: One of them is not what the model takes; `of` says whose they are.
    """
    if not isinstance(stored, list):
        raise Unreadable(f"A list of {model.__name__} of", of)
    return [model_of_json(model, item, of) for item in stored]


def models_of(model: type[_Model], rows: Iterable[RowMapping]) -> list[_Model]:
    """Each row as a `model`, in the same order; those that cannot be read are left out.

    For lists that are shown, and nothing else.
    """
    return readable(rows, lambda row: model_of(model, row))


def all_models_of(model: type[_Model], rows: Iterable[RowMapping]) -> list[_Model]:
    """Each row as a `model`, in the same order.

    Raises:
        Unreadable: One of them does not hold what the model takes.
    """
    return [model_of(model, row) for row in rows]


def models_by_id(
    model: type[_Model],
    rows: Iterable[RowMapping],
    ids: Sequence[str],
    not_found: Callable[[str], NotFound],
) -> list[_Model]:
    """The rows as `model`s in the order of `ids`, where each of them is there.

    Raises:
        NotFound: What `not_found` makes of the first id that has no row.
        Unreadable: One of them does not hold what the model takes.
    """
    found = {row["id"]: model_of(model, row) for row in rows}
    for one in ids:
        if one not in found:
            raise not_found(one)
    return [found[one] for one in ids]


def sort_out(rows: Iterable[_Row], read: Callable[[_Row], _Read]) -> tuple[list[_Read], list[_Row]]:
    """What `read` makes of rows, and the rows of which it can make nothing."""
    found: list[_Read] = []
    unreadable: list[_Row] = []
    for row in rows:
        try:
            found.append(read(row))
        except Unreadable:
            unreadable.append(row)
    return found, unreadable


def readable(rows: Iterable[_Row], read: Callable[[_Row], _Read]) -> list[_Read]:
    """What `read` makes of each row, without those of which it can make nothing."""
    found: list[_Read] = []
    for row in rows:
        try:
            found.append(read(row))
        except Unreadable as error:
            _log.error("row left out of a list", extra={"error": error.message})
    return found


def without_json(table: Table, row: RowMapping) -> dict[str, Any]:
    """The values of a row that can be read whatever is stored."""
    return {name: value for name, value in row.items() if not isinstance(table.c[name].type, JSON)}


def row_of(table: Table, model: BaseModel) -> dict[str, Any]:
    """The model's values for the columns of `table`; nested models become JSON."""
    return {name: _plain(value) for name, value in model if name in table.columns}


def columns_of(table: Table, model: type[BaseModel]) -> list[ColumnElement[Any]]:
    """The columns of `table` that `model` has a field for."""
    return [column for column in table.columns if column.name in model.model_fields]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
