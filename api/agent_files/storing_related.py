"""What an import stores beside agents: folders with their files, groups, identities."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.files.folders import File, Folder, ProcessingStatus, shown_name
from o.domain.files.names import MAX_FOLDER_NAME_CHARS, given_name, numbered
from o.domain.groups import Group, ManagerConfig
from o.domain.identities import Identity, Property
from o.domain.text import storable, storable_json
from o.ids import new_id
from o.letta.agents import embedding_fields
from o.letta.file_models import FileDocument, FileGroup, FileIdentity, FileSource
from o.letta.kept import kept_of_part
from o.letta.notes import Notes
from o.letta.plans import ImportPlan, PlannedAgent, Setting
from o.letta.values import count_of, text_of, time_of
from o.storage.agents.groups import add_group
from o.storage.agents.identities import add_or_find_identity
from o.storage.agents.identity_links import AGENTS, BLOCKS, give_identity
from o.storage.agents.kept_parts import keep_parts
from o.storage.files.folders import add_folder
from o.storage.rows import row_of
from o.storage.tables.folders import agent_files, agent_folders, file_contents, files, folders
from o.storage.tables.identities import identities

RENAMED = "A folder has another name: there is one by its own name"
NO_CONTENT = "A file comes without its text: upload it again"
ODD_GROUP = "A group of a type that is not known is one of round_robin"
NO_IDENTITY = "An agent names an identity that is not here"

_WITHOUT_TEXT = "It came with an agent file that does not hold its text."
_MANAGERS = ("round_robin", "supervisor", "dynamic", "sleeptime", "voice_sleeptime")
_IDENTITY_TYPES = ("org", "user", "other")
_PROPERTY_TYPES = ("string", "number", "boolean", "json")


class RelatedStore:
    """Stores these of one plan, in the transaction of the import.

    What others may store at the same moment goes in the order of its names or keys, so that no two
    imports wait for each other.
    """

    def __init__(
        self, connection: AsyncConnection, setting: Setting, plan: ImportPlan, notes: Notes
    ) -> None:
        self._connection = connection
        self._setting = setting
        self._plan = plan
        self._notes = notes
        self._folder_ids: dict[str, str] = {}  # by the file's ids, as the next one
        self._files: dict[str, File] = {}

    async def store_folders(self) -> list[str]:
        """Store folders with their files; returns the ids of the files that are to be read."""
        taken = await self._taken_names()
        for place, source in sorted(enumerate(self._plan.sources), key=lambda one: one[1].name):
            folder = self._folder(source, taken, f"sources[{place}]")
            await add_folder(self._connection, folder)
            self._folder_ids[source.id] = folder.id
            kept = kept_of_part(source, self._notes, f"sources[{place}]")
            owned = (folder.organization_id, folder.id)
            await keep_parts(self._connection, *owned, "af", kept)
            documents = [one for one in self._plan.documents if one.source_id == source.id]
            await self._store_files(folder, source.name, documents)
        return [
            file.id
            for file in self._files.values()
            if file.processing_status is ProcessingStatus.PENDING
        ]

    async def attach_folders(self) -> None:
        """Give the agents their folders, with the files that they had open; they are stored."""
        for agent in self._plan.agents:
            await self._attach(agent)

    async def store_groups(self) -> None:
        """Store groups, whose agents and blocks are stored."""
        for place, one in enumerate(self._plan.groups):
            await add_group(self._connection, self._group(one, f"groups[{place}]"))

    async def store_identities(self) -> None:
        """Store identities, or take those that are here by the same key, and say who has them."""
        for one in sorted(self._plan.identities, key=lambda one: one.identifier_key):
            identity = self._identity(one)
            actor = self._setting.actor
            id_ = await add_or_find_identity(self._connection, actor, identity)
            ids = self._plan.ids
            agents = [ids[local] for local in one.agent_ids if local in ids]
            blocks = [ids[local] for local in one.block_ids if local in ids]
            await give_identity(self._connection, AGENTS, id_, agents)
            await give_identity(self._connection, BLOCKS, id_, blocks)
        for agent in self._plan.agents:
            await self._give_named(agent)

    async def _give_named(self, planned: PlannedAgent) -> None:
        """Identities that an agent has by their ids, as V1's clients give them."""
        if not planned.identity_ids:
            return
        rows = await self._connection.execute(
            select(identities.c.id).where(
                identities.c.organization_id == self._setting.actor.organization_id,
                identities.c.id.in_(planned.identity_ids),
            )
        )
        here = set(rows.scalars())
        for id_ in planned.identity_ids:
            if id_ in here:
                await give_identity(self._connection, AGENTS, id_, [planned.agent.id])
            else:
                self._notes.tell(NO_IDENTITY, id_[:100])

    async def _taken_names(self) -> set[str]:
        rows = await self._connection.execute(
            select(folders.c.name).where(
                folders.c.organization_id == self._setting.actor.organization_id,
                folders.c.deleted_at.is_(None),
            )
        )
        return set(rows.scalars())

    def _folder(self, source: FileSource, taken: set[str], where: str) -> Folder:
        name, number = source.name, 1
        while name in taken:
            number += 1
            mark = f" ({number})"
            name = f"{source.name[: MAX_FOLDER_NAME_CHARS - len(mark)]}{mark}"
        if number > 1:
            self._notes.tell(RENAMED, f"{where}: {source.name[:100]}")
        taken.add(name)
        fields = embedding_fields(source.__dict__)
        if self._setting.embedding is not None:
            fields["embedding"] = self._setting.embedding
            fields["embedding_config"] = self._setting.embedding_config
        elif fields["embedding"] not in self._setting.embeddings:
            fields["embedding"] = None
        return Folder(
            id=new_id("source"),
            name=name,
            description=text_of(source.description),
            instructions=text_of(source.instructions),
            metadata=storable_json(source.metadata),
            archive_id=new_id("archive"),
            **fields,
            **self._setting.stamps,
        )

    async def _store_files(
        self, folder: Folder, was_called: str, documents: Sequence[FileDocument]
    ) -> None:
        taken: set[str] = set()
        for one in documents:
            name = _free_name(_own_name(one, was_called), taken)
            file = _file(one, folder, name, self._setting, len(self._files))
            await self._connection.execute(insert(files).values(row_of(files, file)))
            if one.content is None:
                self._notes.tell(NO_CONTENT, file.file_name[:200])
            else:
                text = storable(one.content.replace("\r\n", "\n").replace("\r", "\n"))
                row = {"file_id": file.id, "text": text}
                await self._connection.execute(insert(file_contents).values(row))
            self._files[one.id] = file

    async def _attach(self, planned: PlannedAgent) -> None:
        now, agent_id = self._setting.now, planned.agent.id
        held = [
            {
                "agent_id": agent_id,
                "folder_id": self._folder_ids[source_id],
                "created_at": now + timedelta(microseconds=place),
            }
            for place, source_id in enumerate(planned.source_ids)
        ]
        if held:
            await self._connection.execute(insert(agent_folders), held)
        has = {row["folder_id"] for row in held}
        for view in planned.views:
            file = self._files[view.file_id]
            if file.folder_id not in has:
                continue
            row = {
                "agent_id": agent_id,
                "file_id": file.id,
                "folder_id": file.folder_id,
                "is_open": view.is_open,
                "view_start": count_of(view.start_line),
                "view_end": count_of(view.end_line),
                "last_accessed_at": time_of(view.last_accessed_at),
            }
            await self._connection.execute(insert(agent_files).values(row))

    def _group(self, one: FileGroup, where: str) -> Group:
        config = one.manager_config or {}
        ids = self._plan.ids
        manager_type = config.get("manager_type") or "round_robin"
        if manager_type not in _MANAGERS:
            self._notes.tell(ODD_GROUP, where)
            manager_type = "round_robin"
        counts = {
            name: count_of(config.get(name))
            for name in ManagerConfig.model_fields
            if name != "termination_token"
        }
        token = text_of(config.get("termination_token"))
        return Group(
            id=new_id("group"),
            description=one.description or "",
            manager_type=manager_type,
            manager_agent_id=ids.get(config.get("manager_agent_id") or ""),
            manager_config=ManagerConfig(termination_token=token, **counts),
            agent_ids=[ids[local] for local in dict.fromkeys(one.agent_ids)],
            shared_block_ids=[ids[local] for local in dict.fromkeys(one.shared_block_ids)],
            hidden=one.hidden,
            project_id=self._setting.options.project_id or text_of(one.project_id),
            **self._setting.stamps,
        )

    def _identity(self, one: FileIdentity) -> Identity:
        known = one.identity_type in _IDENTITY_TYPES
        return Identity(
            id=new_id("identity"),
            identifier_key=one.identifier_key,
            name=one.name,
            identity_type=one.identity_type if known else "other",
            properties=[_property(raw) for raw in one.properties if _is_property(raw)],
            project_id=self._setting.options.project_id or text_of(one.project_id),
            **self._setting.stamps,
        )


def _own_name(one: FileDocument, folder_name: str) -> str:
    """What a file is called in its folder, made fit as the name of an upload is.

    It may have another number, or other folders in it, than the name that it was uploaded by.
    """
    shown = one.file_name or ""
    inside = shown.removeprefix(f"{folder_name}/")
    names = [inside] if inside != shown else []
    names += [one.original_file_name or "", shown.rpartition("/")[2], one.id]
    return next((fit for name in names if (fit := given_name(name))), "file")


def _free_name(own: str, taken: set[str]) -> str:
    name, number = own, 0
    while name in taken:
        number += 1
        name = numbered(own, number)
    taken.add(name)
    return name


def _file(one: FileDocument, folder: Folder, name: str, setting: Setting, place: int) -> File:
    """A file; its text is read as it is, and cut anew."""
    is_whole = one.content is not None
    stamps = setting.stamps
    return File(
        id=new_id("file"),
        folder_id=folder.id,
        file_name=shown_name(folder.name, name),
        original_file_name=given_name(one.original_file_name or "") or name,
        file_path=text_of(one.file_path),
        file_type=text_of(one.file_type),
        file_size=one.file_size if 0 <= (one.file_size or 0) < 2**63 else None,
        file_creation_date=text_of(one.file_creation_date),
        file_last_modified_date=text_of(one.file_last_modified_date),
        processing_status=ProcessingStatus.PENDING if is_whole else ProcessingStatus.ERROR,
        error_message=None if is_whole else _WITHOUT_TEXT,
        # Files stay in the order in which they came.
        **stamps | {"created_at": setting.now + timedelta(microseconds=place)},
    )


def _is_property(raw: dict[str, Any]) -> bool:
    return isinstance(raw.get("key"), str) and raw.get("type") in _PROPERTY_TYPES


def _property(raw: dict[str, Any]) -> Property:
    return Property(key=raw["key"], value=storable_json(raw.get("value")), type=raw["type"])
