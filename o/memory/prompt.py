"""The system message: an agent's instructions with its core memory, as V1 lays it out."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from o.domain.agents import Agent, Conversation
from o.domain.archives import NOTHING_ARCHIVED, ArchivalSummary
from o.domain.blocks import Block
from o.domain.files.budget import FileBudget
from o.domain.files.directories import Directories
from o.domain.loops import shows_blocks
from o.domain.messages import Message, Role, TextPart
from o.domain.runs import ClientSkill, RunOptions
from o.ids import derived_id
from o.memory.directories import directories_of, directories_section
from o.memory.edits import LINE_NUMBER_BANNER
from o.memory.structure import inert, tag_of
from o.memory.tool_usage import tool_usage_rules

_PLACE = "{CORE_MEMORY}"
_METADATA = "<memory_metadata>"
_EDITS_BY_LINE = frozenset({"letta_v1_agent", "memgpt_v2_agent", "sleeptime_agent"})


def prompt_key(agent: Agent, blocks: Sequence[Block], files: str | None = None) -> str:
    """What a compiled prompt depends on: while it is equal, the stored one is kept to the byte.

    Args:
        agent: As it acts in the conversation.
        blocks: In the order in which they are shown.
        files: A digest of what it shows of folders; None for an agent that has none.
    """
    digest = hashlib.sha256(agent.system.encode())
    for block in blocks if shows_blocks(agent) else ():
        digest.update(repr(_visible(block)).encode())
        if _is_escaped(block):
            digest.update(b"escaped")
    if _has_line_numbers(agent):
        digest.update(b"line numbers")
    digest.update(tool_usage_rules(agent).encode())
    if files is None:
        return digest.hexdigest()
    budget = FileBudget.of(agent)
    seen = f"{budget.max_open},{budget.view_chars},{agent.context_window}"
    return f"{digest.hexdigest()} {files},{seen}"


def shows_other_files(key: str, stored_key: str) -> bool:
    """Whether two prompts show other files, by their keys: those that tools open are seen at once.

    Blocks stand in a prompt as they were when the turn began.
    """
    return key.partition(" ")[2] != stored_key.partition(" ")[2]


def compile_prompt(
    agent: Agent,
    conversation: Conversation,
    blocks: Sequence[Block],
    *,
    recall_count: int,
    archival: ArchivalSummary = NOTHING_ARCHIVED,
    directories: Directories | None = None,
    now: datetime,
) -> str:
    """The text of the system message.

    Stable parts come first and what changes with time last, so that provider caches hit. The
    blocks stand where `agent.system` says `{CORE_MEMORY}`, else at its end.

    Args:
        agent: Whose instructions they are.
        conversation: The thread that the prompt is for.
        blocks: In the order in which they are shown.
        recall_count: Messages in history, the system message not counted.
        archival: What the agent's archives hold.
        directories: Its folders and open files.
        now: When the prompt is compiled.
    """
    sections = [
        tool_usage_rules(agent),
        directories_section(agent, directories),
        _metadata(agent, conversation, recall_count, archival, now),
    ]
    if shows_blocks(agent):
        sections.insert(0, _memory_blocks(blocks, numbered=_has_line_numbers(agent)))
    memory = "\n\n".join(filter(None, sections))
    if _PLACE in agent.system:
        return agent.system.replace(_PLACE, memory, 1)
    return f"{agent.system.rstrip()}\n\n{memory}"


@dataclass(frozen=True)
class PromptParts:
    """A compiled prompt in its parts; empty where it has none of them."""

    instructions: str
    blocks: str = ""
    rules: str = ""
    directories: str = ""
    metadata: str = ""


def parts_of(agent: Agent, prompt: str) -> PromptParts:
    """What `compile_prompt` has made a prompt of, as far as the agent is still the same."""
    ahead, _, behind = agent.system.partition(_PLACE)
    ahead = ahead if behind or _PLACE in agent.system else f"{ahead.rstrip()}\n\n"
    if not (prompt.startswith(ahead) and prompt.endswith(behind)):
        return PromptParts(prompt)
    memory = prompt[len(ahead) : len(prompt) - len(behind)]
    start = memory.rfind(_METADATA)
    if start < 0:
        return PromptParts(prompt)
    rules = tool_usage_rules(agent)
    rest = memory[:start].rstrip()
    directories = directories_of(rest)
    rest = rest.removesuffix(directories).rstrip()
    rules = rules if rules and rest.endswith(rules) else ""
    return PromptParts(
        instructions=agent.system,
        blocks=rest.removesuffix(rules).rstrip(),
        rules=rules,
        directories=directories,
        metadata=memory[start:],
    )


def system_message(agent: Agent, conversation: Conversation, text: str, now: datetime) -> Message:
    """The first message of a conversation, at position 0."""
    return Message(
        id=derived_id("message", conversation.id, "system"),
        organization_id=agent.organization_id,
        agent_id=agent.id,
        conversation_id=conversation.id,
        position=0,
        role=Role.SYSTEM,
        parts=[TextPart(text=text)],
        created_at=now,
    )


def prompt_of_request(system: Message | None, options: RunOptions) -> Message | None:
    """The system message as the model calls of one request have it; the stored one stays.

    V1's `override_system` stands in its place, as it came. What the client can do
    (`client_skills`) comes at its end, so that what is ahead of it is the same in every request.
    """
    if system is None:
        return None
    text = options.override_system
    if not text and options.client_skills:
        text = f"{system.text}\n\n{_skills(options.client_skills)}"
    return system.model_copy(update={"parts": [TextPart(text=text)]}) if text else system


def local_time(moment: datetime, timezone: str) -> str:
    """A moment as agents read it, such as `2026-03-01 09:15:00 AM UTC+0000`."""
    return moment.astimezone(zone_of(timezone)).strftime("%Y-%m-%d %I:%M:%S %p %Z%z")


def zone_of(timezone: str) -> ZoneInfo:
    """The zone by that name, UTC where this machine does not know it."""
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def _visible(block: Block) -> tuple[object, ...]:
    return (block.label, block.value, block.description, block.read_only, block.limit_chars)


def _is_escaped(block: Block) -> bool:
    texts = (block.value, block.description or "")
    escaped = any(inert(text, block.label) != text for text in texts)
    return escaped or tag_of(block.label) != block.label


def _has_line_numbers(agent: Agent) -> bool:
    """Anthropic's models edit by line well, so V1 shows them numbers where tools take lines."""
    return agent.model.startswith("anthropic/") and agent.agent_type in _EDITS_BY_LINE


def _memory_blocks(blocks: Sequence[Block], *, numbered: bool) -> str:
    if not blocks:
        return "<memory_blocks>\n</memory_blocks>"
    shown = "\n\n".join(_block(block, numbered=numbered) for block in blocks)
    return (
        "<memory_blocks>\nThese blocks are your core memory, in every conversation.\n\n"
        f"{shown}\n\n</memory_blocks>"
    )


def _block(block: Block, *, numbered: bool) -> str:
    read_only = "- read_only=true\n" if block.read_only else ""
    warning = f"<warning>\n{LINE_NUMBER_BANNER}\n</warning>\n" if numbered else ""
    tag = tag_of(block.label)
    text = inert(block.value, block.label)
    value = _numbered(text) if numbered else text
    return (
        f"<{tag}>\n"
        f"<description>\n{inert(block.description or '', block.label)}\n</description>\n"
        f"<metadata>\n{read_only}"
        f"- chars_current={len(block.value)}\n"
        f"- chars_limit={block.limit_chars}\n</metadata>\n"
        f"{warning}<value>\n{value}\n</value>\n"
        f"</{tag}>"
    )


def _numbered(value: str) -> str:
    return "\n".join(f"{n}→ {line}" for n, line in enumerate(value.split("\n"), start=1))


def _skills(skills: Sequence[ClientSkill]) -> str:
    shown = "\n".join(inert(f"- {one.name} ({one.location}): {one.description}") for one in skills)
    return (
        "<available_skills>\n"
        "Skills that the client has, each with where it is and what it is for:\n"
        f"{shown}\n</available_skills>"
    )


def _metadata(
    agent: Agent,
    conversation: Conversation,
    recall_count: int,
    archival: ArchivalSummary,
    now: datetime,
) -> str:
    thread = "default" if conversation.is_default else conversation.id
    return (
        f"{_METADATA}\n"
        f"- AGENT_ID: {agent.id}\n"
        f"- CONVERSATION_ID: {thread}\n"
        f"- System prompt last recompiled: {local_time(now, agent.timezone)}\n"
        f"- {recall_count} earlier messages are in recall memory; conversation_search finds them\n"
        f"{_archived(archival)}"
        "</memory_metadata>"
    )


def _archived(archival: ArchivalSummary) -> str:
    if not archival.passage_count:
        return ""
    lines = (
        f"- {archival.passage_count} passages are in archival memory; "
        "archival_memory_search finds them\n"
    )
    if archival.tags:
        more = f" and {archival.more_tags} more" if archival.more_tags else ""
        tags = ", ".join(inert(" ".join(tag.split())) for tag in archival.tags)
        lines += f"- Tags of archival memory: {tags}{more}\n"
    return lines
