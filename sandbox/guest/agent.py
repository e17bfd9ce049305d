"""The `agent_state` that a tool may ask for: the agent's id and its blocks, as V1 has them."""

from __future__ import annotations

from typing import Any


class Block:
    """A block of the agent. Its value can be set; `label`, `limit` and `read_only` are told."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.label: str = data["label"]
        self.value: str = data["value"]
        self.limit: int = data.get("limit") or 0
        self.read_only: bool = bool(data.get("read_only"))
        self.description = data.get("description")

    def __repr__(self) -> str:
        return f"Block(label={self.label!r}, value={self.value!r})"


class Memory:
    """The blocks by their labels."""

    def __init__(self, blocks: list[Block]) -> None:
        self.blocks = blocks

    def get_block(self, label: str) -> Block:
        """The block of this label.

        Raises:
            KeyError: The agent has none.
        """
        for block in self.blocks:
            if block.label == label:
                return block
        known = ", ".join(self.list_block_labels())
        raise KeyError(f"the agent has no block {label}; it has: {known}")

    def get_blocks(self) -> list[Block]:
        """All blocks."""
        return self.blocks

    def list_block_labels(self) -> list[str]:
        """All labels."""
        return [block.label for block in self.blocks]

    def update_block_value(self, label: str, value: str) -> None:
        """Give a block a new value; it is stored when the tool has returned.

        Raises:
            KeyError: The agent has no such block.
            ValueError: The value is no text, or the block does not take it.
        """
        block = self.get_block(label)
        _check(block, value)
        block.value = value


class AgentState:
    """What a tool knows of the agent that calls it."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.id: str = data.get("id", "")
        self.name: str = data.get("name", "")
        self._read = {block["label"]: dict(block) for block in data.get("blocks", [])}
        self.memory = Memory([Block(block) for block in self._read.values()])

    @property
    def blocks(self) -> list[Block]:
        """The blocks of its memory."""
        return self.memory.blocks

    def edits(self) -> list[dict[str, Any]]:
        """What the tool changed, beside the version that it had read.

        Raises:
            ValueError: A block does not take its new value.
        """
        changed = []
        for block in self.memory.blocks:
            read = self._read.get(block.label)
            if read is not None and block.value != read["value"]:
                _check(Block(read), block.value)
                version = read.get("version", 0)
                changed.append({"label": block.label, "value": block.value, "version": version})
        return changed


def _check(block: Block, value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"the value of a block is text, not {type(value).__name__}")
    if block.read_only:
        raise ValueError(f"the block {block.label} is read-only")
    if block.limit and len(value) > block.limit:
        raise ValueError(
            f"the block {block.label} holds {block.limit} characters, and this has {len(value)}"
        )
