"""Blocks of an agent file."""

from collections.abc import Sequence

from o.domain.blocks import MAX_VALUE_CHARS, Block, label_fault
from o.domain.text import storable, storable_json
from o.ids import new_id
from o.letta.file_models import FileBlock
from o.letta.plans import Setting
from o.letta.reading import unreadable
from o.letta.values import MOST_INTEGER, text_of, texts_of

_TEXTS = ("template_name", "template_id", "base_template_id", "deployment_id", "entity_id")


def plan_block(one: FileBlock, setting: Setting, where: str) -> Block:
    """A new block. Its value may be longer than its limit, as in V1.

    Raises:
        InvalidInput: It has a label that cannot be, or holds more than any block may.
    """
    label, value = storable(one.label), storable(one.value)
    if (fault := label_fault(label)) is not None:
        raise unreadable(f"{where}.label: {fault}")
    if len(value) > MAX_VALUE_CHARS:
        raise unreadable(f"{where}.value: more than {MAX_VALUE_CHARS} characters")
    return Block(
        id=new_id("block"),
        label=label,
        value=value,
        limit_chars=min(max(one.limit, 1), MOST_INTEGER),
        description=text_of(one.description),
        read_only=one.read_only,
        metadata=storable_json(one.metadata or {}),
        tags=texts_of(one.tags),
        project_id=setting.options.project_id or text_of(one.project_id),
        is_template=one.is_template,
        preserve_on_migration=bool(one.preserve_on_migration),
        hidden=one.hidden,
        changed_by=setting.actor.user_id,
        **{name: text_of(getattr(one, name)) for name in _TEXTS},
        **setting.stamps,
    )


def check_labels(blocks: Sequence[Block], where: str) -> None:
    """See that an agent has one block of a label.

    Raises:
        InvalidInput: It has two.
    """
    seen: set[str] = set()
    for block in blocks:
        if block.label in seen:
            raise unreadable(f"{where}: two blocks have the label {block.label[:100]!r}")
        seen.add(block.label)
