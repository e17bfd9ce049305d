"""`o export`: the command line of taking agents out."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from o.errors import InvalidInput, NotFound, OError, Unavailable
from o.log import printable
from o.settings.all import Settings
from server.api_client.address import address_of_api, url_option, user_option
from server.progress import progress_bar

if TYPE_CHECKING:
    from server.api_client.organizations import Organization
    from server.api_client.source import Source
    from server.export.agent import Exported
    from server.export.writing import Place

# What it works with is imported when it runs: `o --help` is quick.

_PAGE = 100
_NO_USER = "the organization has no user to ask as: POST /v1/admin/users/ makes one"


@dataclass
class Outcome:
    """What came of all: the agents that are exported, and why others are not, by name."""

    exported: list["Exported"] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


@click.group("export")
def export() -> None:
    """Take data out, as files."""


@export.command("agent")
@click.argument("agents", nargs=-1, metavar="[ID|NAME]...")
@click.option("--all", "is_all", is_flag=True, help="Every agent that there is.")
@click.option(
    "--to",
    "directory",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The directory that they are put into; it is made.",
)
@click.option("--overwrite", is_flag=True, help="Write anew what is there already.")
@url_option
@user_option
@click.pass_obj
def agent(
    read_settings: Callable[..., Settings],
    agents: tuple[str, ...],
    is_all: bool,
    directory: Path,
    overwrite: bool,
    url: str | None,
    user_id: str | None,
) -> None:
    """Put agents into a directory: a folder for each, with README.md to tell them apart.

    A folder has the agent file (.af), which O and other servers import, and what people read:
    conversations and blocks as Markdown, passages as JSON lines, the text of files. No secrets are
    in them. Files that are there are passed over, so that it may be stopped and run again. Sends
    O_API_TOKEN, where it is set. Agents are those of all organizations that it opens; a key opens
    its own.

    Exit status: 0 when all is there; 1 when something could not be had, which is named.
    """
    if is_all == bool(agents):
        raise click.UsageError("name agents, or say --all")
    settings = read_settings()
    token = settings.api_token.get_secret_value() if settings.api_token else None
    url = address_of_api(settings, url)
    raise SystemExit(_export(agents, directory, url, token, user_id, overwrite=overwrite))


def _export(
    agents: tuple[str, ...],
    directory: Path,
    url: str,
    token: str | None,
    user_id: str | None,
    *,
    overwrite: bool,
) -> int:
    from server.api_client.answers import check_is_api  # noqa: PLC0415
    from server.api_client.organizations import organizations_of  # noqa: PLC0415
    from server.api_client.source import Source  # noqa: PLC0415
    from server.export.writing import Place  # noqa: PLC0415

    asyncio.run(check_is_api(url))
    place = Place(directory, overwrite=overwrite)
    source = Source(url, token)
    outcome = Outcome()
    try:
        organizations, lacking = organizations_of(source, user_id)
        if agents:
            found = _named(organizations, agents, outcome)
            _each(place, found, len(found), outcome)
        else:
            outcome.failed |= dict.fromkeys(lacking, _NO_USER)
            counts = [
                one.source.get("agents/count", show_hidden_agents=True) for one in organizations
            ]
            _each(place, _every(organizations), sum(map(int, counts)), outcome)
    finally:
        source.close()
        if outcome.exported:
            _write_index(directory)
    return _tell(outcome, directory)


_Found = tuple["Organization", dict[str, Any]]
"""An agent as the API's list shows it, and whose it is."""


def _named(
    organizations: Sequence["Organization"], wanted: Iterable[str], outcome: Outcome
) -> list[_Found]:
    """The agents by these ids and names, each once."""
    found: dict[str, _Found] = {}
    for one in wanted:
        named = {
            agent["id"]: (organization, agent)
            for organization in organizations
            for agent in _by_id_or_name(organization.source, one)
        }
        if not named:
            outcome.failed[one] = "there is no such agent"
        found |= named
    return list(found.values())


def _by_id_or_name(source: "Source", wanted: str) -> list[dict[str, Any]]:
    from o.ids import is_id  # noqa: PLC0415

    try:
        if is_id(wanted, "agent"):
            return [source.get(f"agents/{wanted}", include="agent.tags")]
        pages = source.pages("agents/", name=wanted, show_hidden_agents=True)
        return [agent for page in pages for agent in page]
    except NotFound:
        return []


def _every(organizations: Sequence["Organization"]) -> Iterator[_Found]:
    shown = {"show_hidden_agents": True, "include": "agent.tags"}
    for one in organizations:
        for page in one.source.pages("agents/", limit=_PAGE, **shown):
            yield from ((one, agent) for agent in page)


def _each(place: "Place", agents: Iterable[_Found], count: int, outcome: Outcome) -> None:
    from server.export.agent import AgentExport  # noqa: PLC0415
    from server.export.markdown import line  # noqa: PLC0415

    at = {"agent": "", "what": ""}

    def show(_: object = None) -> str:
        return f"{at['agent'][:40]}: {at['what']}" if at["agent"] else ""

    with progress_bar(count, "export", item_show_func=show) as bar:

        def tell(what: str) -> None:
            at["what"] = what
            bar.update(0)
            bar.render_progress()

        for organization, one in agents:
            at["agent"] = line(one["name"])
            try:
                done = AgentExport(organization, place, one, tell=tell).run()
                outcome.exported.append(done)
                if done.failed:
                    outcome.failed[done.folder] = "; ".join(done.failed)
            except (InvalidInput, Unavailable):  # of this machine, or of all that is asked
                raise
            except NotFound:
                pass  # deleted meanwhile
            except OError as error:
                outcome.failed[str(one["id"])] = error.message
            bar.update(1)


def _write_index(directory: Path) -> None:
    """README.md: every agent of the directory, whenever it was put there, by name."""
    from server.export.agent import ABOUT  # noqa: PLC0415
    from server.export.markdown import index_markdown  # noqa: PLC0415
    from server.export.writing import Place  # noqa: PLC0415

    found = []
    for about in directory.glob(f"*/{ABOUT}"):
        try:
            found.append((about.parent.name, json.loads(about.read_text(encoding="utf-8"))))
        except (OSError, ValueError):
            continue  # not ours
    Place(directory, overwrite=True).write("README.md", index_markdown(found))


def _tell(outcome: Outcome, directory: Path) -> int:
    written = sum(one.written for one in outcome.exported)
    kept = sum(one.kept for one in outcome.exported)
    click.echo(
        f"{len(outcome.exported):,} agents in {directory}: {written:,} files written, "
        f"{kept:,} were there"
    )
    for name, why in outcome.failed.items():
        click.echo(f"  {printable(name)}: {printable(why)}", err=True)
    return 1 if outcome.failed else 0
