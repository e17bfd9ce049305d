"""A whole agent file as what is to be stored: the agents, and what they share."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from o.domain.agents import Agent
from o.domain.archives import (
    MAX_TAG_CHARS,
    MAX_TAGS,
    MAX_TEXT_CHARS,
    Archive,
    Passage,
    words_key,
)
from o.domain.blocks import Block
from o.domain.text import storable, storable_json
from o.ids import new_id
from o.letta.agents import agent_fields, embedding_fields
from o.letta.file_models import AgentFile, FileAgent, FileArchive, FileConversation, FilePassage
from o.letta.kept import (
    MESSAGES,
    kept_of_agent,
    kept_of_file,
    kept_of_part,
    tell_of_others,
)
from o.letta.notes import Notes
from o.letta.planned_blocks import check_labels, plan_block
from o.letta.planned_threads import ThreadSource, plan_thread, share_copies
from o.letta.planned_tools import plan_servers, plan_tools
from o.letta.plans import (
    ImportPlan,
    PlannedAgent,
    PlannedArchive,
    PlannedThread,
    Setting,
)
from o.letta.reading import source_ids, unreadable
from o.letta.values import count_of, text_of, texts_of, time_of
from o.tools.agent_types import base_tools
from o.tools.registry import BUILT_IN_TOOLS

OTHER_MODEL = "An agent's model is not here; it has the default model"
NO_MODEL_HERE = "An agent's model is not here, and there is no default one: give it another"
NO_EMBEDDING_HERE = "A model that embeds is not here: the default one embeds in its place"
NO_TOOL = "An agent names a tool that is neither in the file nor here"
SECOND_NAME = "The name that was given is that of the first agent"


def plan_import(file: AgentFile, setting: Setting, notes: Notes) -> ImportPlan:
    """All that an import stores.

    Args:
        file: As it was read.
        setting: Whose import it is.
        notes: Takes what is not taken over as it is.

    Raises:
        InvalidInput: Something in it cannot be stored; the message names the place.
    """
    servers = plan_servers(file, setting, notes)
    tools, tool_names, kept_tools = plan_tools(file, setting, notes)
    blocks = {
        one.id: plan_block(one, setting, f"blocks[{place}]")
        for place, one in enumerate(file.blocks)
    }
    kept = {
        blocks[one.id].id: found
        for place, one in enumerate(file.blocks)
        if (found := kept_of_part(one, notes, f"blocks[{place}]"))
    }
    for place, server in enumerate(file.mcp_servers):
        if server.id in servers:
            kept[servers[server.id].id] = kept_of_part(server, notes, f"mcp_servers[{place}]")
    tell_of_others(file, notes)
    ids = {agent.id: new_id("agent") for agent in file.agents}
    whole = _Whole(file, setting, notes, blocks, tool_names, ids)
    agents = [whole.agent(one, place) for place, one in enumerate(file.agents)]
    for place, (one, agent) in enumerate(zip(file.agents, agents, strict=True)):
        lost = {id_: kept_tools[id_] for id_ in one.tool_ids or () if id_ in kept_tools}
        if lost:
            agent.kept["tools"] = list(lost.values())
        if place == 0:
            agent.kept.update(kept_of_file(file, notes))
    return ImportPlan(
        servers=servers,
        tools=tools,
        blocks=[*blocks.values(), *whole.own_blocks],
        agents=agents,
        archives=[whole.archive(one, place) for place, one in enumerate(file.o_archives)],
        ids=ids | {id_: block.id for id_, block in blocks.items()},
        kept=kept,
        sources=file.sources,
        documents=file.files,
        groups=file.groups,
        identities=file.o_identities,
    )


class _Whole:
    """What agents of one file have in common."""

    def __init__(
        self,
        file: AgentFile,
        setting: Setting,
        notes: Notes,
        blocks: Mapping[str, Block],
        tool_names: Mapping[str, str],
        ids: Mapping[str, str],
    ) -> None:
        self._file = file
        self._setting = setting
        self._notes = notes
        self._blocks = blocks
        self._tool_names = tool_names
        self._ids = ids
        self.own_blocks: list[Block] = []

    def agent(self, one: FileAgent, place: int) -> PlannedAgent:
        """One agent, with its threads."""
        where = f"agents[{place}]"
        found = agent_fields(one.fields, self._notes, where)
        kept = found.kept | kept_of_agent(one, self._notes, where)
        blocks = self._blocks_of(one, where)
        agent = Agent(
            **found.values
            | self._overrides(one, found.values, place, where)
            | {"tags": texts_of(one.tags), "tool_names": self._tools_of(one, found.values, where)},
            id=self._ids[one.id],
            approval_timeout_s=count_of(one.o_approval_timeout_s),
            **self._setting.stamps,
        )
        threads = [self._own_thread(one, agent, blocks, where)]
        if not self._setting.options.strip_messages:
            threads += [
                self._thread(conversation, agent, one, blocks, number)
                for number, conversation in enumerate(self._file.o_conversations)
                if conversation.agent_id == one.id
            ]
        if messages := {id_: told for thread in threads for id_, told in thread.kept.items()}:
            kept[MESSAGES] = messages
        return PlannedAgent(
            agent=agent,
            threads=share_copies(threads),
            block_ids=[block.id for block in blocks],
            variables=self._variables(one),
            source_ids=source_ids(one),
            views=list({view.file_id: view for view in one.files_agents}.values()),
            identity_ids=texts_of(one.identity_ids),
            kept=kept,
        )

    def archive(self, one: FileArchive, place: int) -> PlannedArchive:
        """One archive with its passages."""
        where = f"o_archives[{place}]"
        archive = Archive(
            id=new_id("archive"),
            name=storable(one.name),
            description=text_of(one.description),
            metadata=storable_json(one.metadata),
            **self._embedding(embedding_fields(one.__dict__), where),
            **self._setting.stamps,
        )
        return PlannedArchive(
            archive,
            [
                self._passage(passage, archive, f"{where}.passages[{number}]")
                for number, passage in enumerate(one.passages)
            ],
            {self._ids[id_]: id_ in one.owner_ids for id_ in one.agent_ids},
        )

    def _overrides(
        self, one: FileAgent, values: Mapping[str, Any], place: int, where: str
    ) -> dict[str, Any]:
        """What the request says in the place of the file, and the models that are here."""
        options = self._setting.options
        changes: dict[str, Any] = self._embedding(values, where) | self._model(values, where)
        if options.name is not None and place == 0:
            changes["name"] = options.name
            if len(self._file.agents) > 1:
                self._notes.tell(SECOND_NAME)
        elif options.append_copy_suffix:
            changes["name"] = f"{values['name']}_copy"
        if options.project_id is not None:
            changes["project_id"] = options.project_id
        return changes

    def _model(self, values: Mapping[str, Any], where: str) -> dict[str, Any]:
        setting, handle = self._setting, values["model"]
        model = setting.model
        if model is None:
            if setting.models.get(handle) is not None:
                return {}
            model = setting.default_model
            self._notes.tell(NO_MODEL_HERE if model is None else OTHER_MODEL, f"{where}: {handle}")
        if model is None or model.handle == handle:
            return {}
        settings = values["model_settings"].items()
        return {
            "model": model.handle,
            "context_window": min(model.context_window, values["context_window"]),
            "model_settings": {k: v for k, v in settings if k != "provider_type"},
        }

    def _embedding(self, values: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Which model embeds: the one that the request names, else its own if that is here."""
        handle = values["embedding"]
        if self._setting.embedding is not None:
            config = self._setting.embedding_config
            return {"embedding": self._setting.embedding, "embedding_config": config}
        if handle is not None and handle not in self._setting.embeddings:
            self._notes.tell(NO_EMBEDDING_HERE, f"{where}: {handle}")
            handle = None
        return {"embedding": handle, "embedding_config": values["embedding_config"]}

    def _blocks_of(self, one: FileAgent, where: str) -> list[Block]:
        own = [
            plan_block(block, self._setting, f"{where}.memory_blocks[{number}]")
            for number, block in enumerate(one.memory_blocks or ())
        ]
        self.own_blocks += own
        blocks = [*own, *(self._blocks[id_] for id_ in dict.fromkeys(one.block_ids or ()))]
        check_labels(blocks, where)
        return blocks

    def _tools_of(self, one: FileAgent, values: Mapping[str, Any], where: str) -> list[str]:
        """The names of its tools, in the order of the file."""
        known = {*self._tool_names.values(), *BUILT_IN_TOOLS}
        named = [self._tool_names[id_] for id_ in one.tool_ids or () if id_ in self._tool_names]
        if one.include_base_tools:
            named += base_tools(values["agent_type"])
        for name in one.tools or ():
            if name in known:
                named.append(name)
            else:
                self._notes.tell(NO_TOOL, f"{where}: {storable(name)[:100]}")
        return list(dict.fromkeys(named))

    def _variables(self, one: FileAgent) -> dict[str, str]:
        both = one.variables | dict(self._setting.options.secrets)
        return {storable(key): storable(value) for key, value in both.items()}

    def _own_thread(
        self, one: FileAgent, agent: Agent, blocks: Sequence[Block], where: str
    ) -> PlannedThread:
        is_bare = self._setting.options.strip_messages
        source = ThreadSource(
            messages=() if is_bare else one.messages,
            in_context=() if is_bare else one.in_context_message_ids,
            agent_type=one.agent_type,
            ids=self._ids,
            where=where,
        )
        return plan_thread(source, agent, blocks, self._setting, self._notes)

    def _thread(
        self,
        one: FileConversation,
        agent: Agent,
        owner: FileAgent,
        blocks: Sequence[Block],
        place: int,
    ) -> PlannedThread:
        where = f"o_conversations[{place}]"
        isolated = [
            plan_block(block, self._setting, f"{where}.isolated_blocks[{number}]")
            for number, block in enumerate(one.isolated_blocks)
        ]
        check_labels(isolated, where)
        by_label = {block.label: block for block in isolated}
        source = ThreadSource(
            one.messages, one.in_context_message_ids, owner.agent_type, self._ids, where
        )
        planned = plan_thread(
            source,
            agent,
            [by_label.get(block.label, block) for block in blocks],
            self._setting,
            self._notes,
            is_default=False,
            summary=text_of(one.summary),
            model=text_of(one.model),
            model_settings=storable_json(one.model_settings),
            last_message_at=time_of(one.last_message_at),
        )
        thread = planned.conversation
        made_at = time_of(one.created_at) or thread.created_at
        conversation = thread.model_copy(update={"created_at": made_at})
        return replace(planned, conversation=conversation, isolated=isolated)

    def _passage(self, one: FilePassage, archive: Archive, where: str) -> Passage:
        text = storable(one.text)
        if not 1 <= len(text) <= MAX_TEXT_CHARS:
            raise unreadable(f"{where}.text: a passage has 1 to {MAX_TEXT_CHARS} characters")
        tags = texts_of(one.tags)
        if len(tags) > MAX_TAGS or any(not 1 <= len(tag) <= MAX_TAG_CHARS for tag in tags):
            raise unreadable(
                f"{where}.tags: a passage has up to {MAX_TAGS} tags of {MAX_TAG_CHARS} characters"
            )
        stamps = self._setting.stamps
        return Passage(
            id=new_id("passage"),
            archive_id=archive.id,
            text=text,
            metadata=storable_json(one.metadata),
            tags=tags,
            key=words_key(text),
            **stamps | {"created_at": time_of(one.created_at) or stamps["created_at"]},
        )
