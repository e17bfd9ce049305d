"""Rows of providers: in a database that was there before them, marked with each change."""

from datetime import UTC, datetime
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from migrations import upgrade
from o.domain.actors import Actor
from o.domain.providers import ProviderRecord, environment_provider_id
from o.errors import Conflict, NotFound
from o.ids import new_id
from o.storage import providers as stored
from o.storage.database import Database
from o.storage.pages import Page
from tests.storage.bare import BareServer

ACTOR = Actor()
OTHER = Actor(organization_id="org-11111111-0000-4000-8000-000000000000")


@pytest.fixture
def database(bare: BareServer) -> Database:
    return bare.database


def record(name: str, actor: Actor = ACTOR, **fields: Any) -> ProviderRecord:
    now = datetime.now(UTC)
    values = {"id": new_id("provider"), "provider_type": "openai"} | fields
    return ProviderRecord(
        organization_id=actor.organization_id, name=name, created_at=now, updated_at=now, **values
    )


async def _brought_to(database: Database, revision: str) -> None:
    def bring(connection: Connection) -> None:
        command.upgrade(upgrade.configuration(connection), revision)

    async with database.begin() as connection:
        await connection.run_sync(bring)


async def mark(connection: AsyncConnection, actor: Actor = ACTOR) -> str:
    return (await stored.read_providers(connection, actor.organization_id)).mark


async def test_a_database_of_an_earlier_release_gets_them(database: Database) -> None:
    await _brought_to(database, "0007")
    async with database.begin() as connection:
        before = (await connection.execute(text("SELECT id, name FROM organizations"))).all()
    await upgrade.migrate(database)
    async with database.begin() as connection:
        after = (await connection.execute(text("SELECT id, name FROM organizations"))).all()
        assert before == after
        assert await mark(connection) == ""
        new = record("a")
        await stored.add_provider(connection, new, in_environment=())
        assert (await stored.read_providers(connection, ACTOR.organization_id)).records == [new]


async def test_addresses_that_keys_have_named_are_judged_from_then_on(database: Database) -> None:
    """The record says who changed a provider, and not what: one change by a key is enough."""
    changes = {
        "by a key": ["create_provider osk"],
        "by the token": ["create_provider"],
        "by the token after a key": ["create_provider osk", "modify_provider"],
        "by a key after the token": ["create_provider", "modify_provider osk"],
        "by a key between others": ["create_provider", "modify_provider osk", "modify_provider"],
        "asked by a key": ["create_provider", "refresh_provider_models osk"],
        "long ago": [],
        "without an address": ["create_provider osk"],
    }
    await _brought_to(database, "0032")
    async with database.begin() as connection:
        for name, recorded in changes.items():
            url = None if name == "without an address" else "http://a.example/v1"
            await connection.execute(
                text(
                    "INSERT INTO providers (id, organization_id, name, provider_type, base_url,"
                    " created_at, updated_at)"
                    " VALUES (:name, :org, :name, 'openai', :url, now(), now())"
                ),
                {"name": name, "org": ACTOR.organization_id, "url": url},
            )
            for n, (what, *key) in enumerate(one.split() for one in recorded):
                await connection.execute(
                    text(
                        "INSERT INTO audit_records (id, organization_id, what, target_id, key_id, "
                        "details, created_at) VALUES (:id, :org, :what, :name, :key, '{}', "
                        "now() + :n * interval '1 second')"
                    ),
                    {"id": f"{name} {n}", "org": ACTOR.organization_id, "what": what}
                    | {"name": name, "key": key[0] if key else None, "n": n},
                )
    await upgrade.migrate(database)
    async with database.begin() as connection:
        records = (await stored.read_providers(connection, ACTOR.organization_id)).records
    judged = {one.name for one in records if one.base_url_judged}
    assert judged == {
        "by a key",
        "by the token after a key",
        "by a key after the token",
        "by a key between others",
    }


async def test_each_change_gives_a_new_mark_to_its_organization_alone(database: Database) -> None:
    await upgrade.migrate(database)
    async with database.begin() as connection:
        await connection.execute(
            text("INSERT INTO organizations (id, name, created_at) VALUES (:id, 'other', now())"),
            {"id": OTHER.organization_id},
        )
        new, marks = record("a"), [await mark(connection)]
        await stored.add_provider(connection, new, in_environment=())
        marks.append(await mark(connection))
        await stored.change_provider(
            connection, ACTOR, new.id, {"base_url": "http://x"}, in_environment=()
        )
        marks.append(await mark(connection))
        await stored.delete_provider(connection, ACTOR, new.id)
        marks.append(await mark(connection))
        assert len(set(marks)) == 4
        assert await mark(connection, OTHER) == ""


async def test_nobody_sees_or_changes_those_of_another_organization(database: Database) -> None:
    await upgrade.migrate(database)
    async with database.begin() as connection:
        new = record("a")
        await stored.add_provider(connection, new, in_environment=())
        for attempt in (
            stored.get_provider(connection, OTHER, new.id, in_environment=()),
            stored.change_provider(connection, OTHER, new.id, {"region": "x"}, in_environment=()),
            stored.note_synced(connection, OTHER, new.id),
            stored.delete_provider(connection, OTHER, new.id),
        ):
            with pytest.raises(NotFound):
                await attempt
        assert await stored.list_providers(connection, OTHER, Page(), in_environment=()) == []
        found = await stored.list_providers(connection, ACTOR, Page(), in_environment=())
        assert found == [new]


async def test_a_name_is_one_organizations_once(database: Database) -> None:
    await upgrade.migrate(database)
    id_ = environment_provider_id(ACTOR.organization_id, "groq")
    of_environment = record("groq", id=id_, origin="environment")
    async with database.begin() as connection:
        for _ in range(2):
            await stored.add_environment_providers(connection, [of_environment])
        with pytest.raises(Conflict):
            await stored.add_provider(connection, record("groq"), in_environment=["groq"])
        with pytest.raises(NotFound):
            await stored.get_provider(connection, ACTOR, id_, in_environment=())
        await stored.get_provider(connection, ACTOR, id_, in_environment=["groq"])
        with pytest.raises(NotFound):
            await stored.delete_provider(connection, ACTOR, id_)
        mine = await stored.add_provider(connection, record("groq"), in_environment=())
        with pytest.raises(Conflict):
            await stored.add_provider(connection, record("groq"), in_environment=())
        await stored.add_environment_providers(connection, [of_environment])
        found = await stored.list_providers(connection, ACTOR, Page(), in_environment=["groq"])
        assert found == [mine], "what somebody made goes before the environment"
