"""Rows as domain models and back."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy import RowMapping, Table
from sqlalchemy.sql.elements import ColumnElement

_Model = TypeVar("_Model", bound=BaseModel)


def model_of(model: type[_Model], row: RowMapping | Mapping[str, Any]) -> _Model:
    """The row as a `model`. Columns that the model does not have are ignored."""
    return model.model_validate(dict(row))


def models_of(model: type[_Model], rows: Sequence[RowMapping]) -> list[_Model]:
    """Each row as a `model`, in the same order."""
    return [model_of(model, row) for row in rows]


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
