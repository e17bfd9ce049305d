"""The limits of blocks, where the operator says that they hold."""

from collections.abc import Iterable

from o.domain.blocks import Block, limit_fault
from o.errors import InvalidInput
from o.settings.all import Settings


def check_limits(new: Iterable[Block], settings: Settings) -> None:
    """Refuse new blocks that are over their limits, where these hold.

    Raises:
        InvalidInput: One of them is.
    """
    if not settings.enforces_block_limit:
        return
    for block in new:
        if (fault := limit_fault(len(block.value), block.limit_chars)) is not None:
            raise InvalidInput(f"The block {block.label!r} cannot be made so: {fault}")
