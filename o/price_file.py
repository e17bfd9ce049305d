"""The operator's own prices: a JSON file that `O_PRICES` names."""

import json
import stat
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

_MOST_BYTES = 1024 * 1024


class OwnPrice(BaseModel):
    """US dollars for a million tokens; what is left out costs as much as other tokens do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    cached_input: float | None = Field(None, ge=0, allow_inf_nan=False)
    cache_write: float | None = Field(None, ge=0, allow_inf_nan=False)
    reasoning: float | None = Field(None, ge=0, allow_inf_nan=False)


_FILE = TypeAdapter(dict[str, OwnPrice])


def read_prices(path: Path) -> dict[str, OwnPrice]:
    """What a file holds, by handle or `<provider>/*`.

    Raises:
        ValueError: There is no such file, or it holds something else; the message says where.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for
            raise ValueError(f"{path} is no file")
        if found.st_size > _MOST_BYTES:
            raise ValueError(f"{path} is larger than {_MOST_BYTES >> 20} MB")
        prices = _FILE.validate_python(json.loads(path.read_text("utf-8")))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = " · ".join(map(str, first["loc"]))
        raise ValueError(f"{path}: {place}: {first['msg']}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError(f"{path} holds no JSON") from None
    for handle in prices:
        if "/" not in handle:
            raise ValueError(f"{path}: {handle!r} is no handle, such as openai/gpt-4o or vllm/*")
    return prices
