"""O's command line with a clock that is `CLOCK_IS_AHEAD_H` hours ahead, as a machine's may be.

`datetime.now` is changed in O's own modules once all are loaded: what reads and writes dates in
PostgreSQL or in JSON knows their class, and would not know another one.
"""

import datetime
import os
import sys
from typing import Self

from server.cli import main
from server.up.fork_server import load

_AHEAD = datetime.timedelta(hours=float(os.environ["CLOCK_IS_AHEAD_H"]))


class _Ahead(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Self:
        # It is no instance of this class, and must not be one.
        return datetime.datetime.now(tz) + _AHEAD  # type: ignore[return-value]


def _put_ahead() -> None:
    load()
    for name, module in list(sys.modules.items()):
        is_ours = name.partition(".")[0] in ("activities", "api", "o", "server")
        if is_ours and getattr(module, "datetime", None) is datetime.datetime:
            module.datetime = _Ahead  # type: ignore[attr-defined]


if __name__ == "__main__":
    if sys.argv[1] == sys.executable:  # it stands before a whole command line: `python -m module …`
        del sys.argv[1:4]
    _put_ahead()
    main()
