"""Everything that one supervisor runs, in the order in which it starts and stops."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import aiohttp
from pydantic import SecretStr

from o.errors import Unavailable
from o.llm.providers.providers import Providers
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from o.storage.availability import reach
from o.storage.database import libpq_url
from o.temporal.connection import connect_or_explain
from sandbox.protocol import SandboxState
from server.up import (
    console,
    embedded_postgres,
    embedded_temporal,
    environment,
    local_model,
    ports,
    postgres_account,
    state,
)
from server.up.child import Child
from server.up.commands import Commands
from server.up.forks import ForkServer
from server.up.launch import Launcher, Program
from server.up.locks import PATIENCE_S
from server.up.logs import keep_small
from server.up.provider_states import provider_states
from server.up.recovery import Recovery

_log = logging.getLogger(__name__)

_START_TIMEOUT_S = 120.0
_API_GRACE_S = 3.0
WORKER_GRACE_S = 6.0
"""Seconds that a worker has beyond those in which its running steps may end (`drain_s`)."""
_GUARDED_GRACE_S = 25.0
_HURRIED_GRACE_S = 3.0


class Processes:
    """The database, Temporal, the model, the workers and the API of one data directory."""

    def __init__(
        self,
        settings: Settings,
        providers: ProviderSettings,
        commands: Commands,
        view: console.Screen,
        *,
        namespaces: bool = True,
        patience_s: float = PATIENCE_S,
        forks: ForkServer | None = None,
    ) -> None:
        """Reserve ports and decide on addresses; nothing runs yet.

        Raises:
            Conflict: a port is taken.
        """
        self._data_dir = settings.data_dir
        self._screen = view
        self._commands = commands
        self._namespaces = namespaces
        self._forks = forks
        self._launcher = Launcher(self._data_dir, patience_s, forks)
        self._cluster = (
            embedded_postgres.Cluster(self._data_dir, settings)
            if settings.database_url is None
            else None
        )
        self._server = (
            embedded_temporal.TemporalServer(self._data_dir, settings, view.say)
            if settings.temporal_address is None
            else None
        )
        weights = None if Providers(providers).all() else local_model.find_weights()
        self._model_port = None if weights is None else ports.free_port()
        self._providers = providers
        self._settings = self._with_addresses(settings)
        self._sockets = ports.bind(settings.host, self._settings.port)
        self._database: Child | None = None
        self._temporal: Child | None = None
        self._model: Child | None = None
        self._workers: list[Child] = []
        self._apis: list[Child] = []
        self._recovery: Recovery | None = None
        self._watching: list[asyncio.Task[None]] = []
        self._up = False
        self._in_a_hurry = False

    async def start(self) -> None:
        """Start everything and wait until it serves.

        Raises:
            OError: a part does not start; the message has the end of its log.
        """
        watching_logs = keep_small(self._launcher.log_dir, self._settings.log_limit_bytes)
        self._watching.append(asyncio.create_task(watching_logs))
        if self._forks is not None:
            self._forks.keep(self._note_state)
        env = self._environment()
        # Workers load for seconds before they need anything, so they go first.
        for number in range(1, self._settings.workers + 1):
            program = Program(f"worker-{number}", self._commands.worker, env)
            self._workers.append(self._begin(program, worker=True))
        await _together(self._start_database(), self._start_temporal())
        await self._launcher.run(Program("migrate", self._commands.migrate, env))
        self._screen.done("schema migrated")
        counting = asyncio.create_task(
            provider_states(self._settings, self._providers, self._database_url)
        )
        if self._recovery is not None:
            await self._recovery.warm_up()
        ui = None if self._server is None else self._server.ui
        shown = {} if ui is None else {"O_TEMPORAL_UI_URL": ui}
        self._apis = self._begin_apis(env | shown)
        await _together(self._wait_for_apis(), self._wait_for_a_worker())
        self._screen.done("API and workers")
        self._up = True
        self._start_model(env)
        self._note_state()
        words = console.model_words(await counting, bundled=self._model_port is not None)
        self._screen.addresses(self._api_url, ui, words)
        if ui is not None and (warning := console.temporal_words(self._settings)) is not None:
            self._screen.say(warning)
        self._watching.append(asyncio.create_task(self._tell_of_sandbox()))

    async def stop(self) -> None:
        """Stop everything, whatever needs something before that."""
        self._up = False
        for watch in self._watching:
            watch.cancel()
        self._close_sockets()
        await self._stop(self._apis, self._settings.drain_s + _API_GRACE_S)
        await self._stop(self._workers, self._settings.drain_s + WORKER_GRACE_S)
        await self._stop([self._model], _HURRIED_GRACE_S)
        if self._recovery is not None:
            await self._recovery.close()
        await self._stop([self._temporal, self._database], _GUARDED_GRACE_S)
        self._launcher.close()
        state.remove(self._data_dir)

    def hurry(self) -> None:
        """Kill what is slow to stop, now and in the stages that follow."""
        self._in_a_hurry = True
        for child in self._children:
            child.hurry()

    @property
    def _children(self) -> list[Child]:
        """All that are kept alive, in the order in which they stop."""
        children = (*self._apis, *self._workers, self._model, self._temporal, self._database)
        return [child for child in children if child is not None]

    async def _stop(self, children: Sequence[Child | None], grace_s: float) -> None:
        grace_s = min(grace_s, _HURRIED_GRACE_S) if self._in_a_hurry else grace_s
        await asyncio.gather(*(child.stop(grace_s) for child in children if child is not None))

    @property
    def _api_url(self) -> str:
        return f"http://{ports.reachable_host(self._settings.host)}:{self._settings.port}"

    @property
    def _database_url(self) -> str:
        url = self._settings.database_url
        return "" if url is None else url.get_secret_value()

    def _with_addresses(self, settings: Settings) -> Settings:
        """`settings` with the addresses of what is embedded, which the children get."""
        port = ports.claim(settings.host, settings.port, "O_PORT")
        found: dict[str, object] = {"port": port}
        found["metrics_dir"] = settings.metrics_dir or settings.data_dir / "metrics"
        if self._cluster is not None:
            found["database_url"] = SecretStr(self._cluster.url)
            found["database_dir"] = self._cluster.home
        if self._server is not None:
            found |= {"temporal_address": self._server.address, "temporal_tls": False}
        return settings.model_copy(update=found)

    def _environment(self) -> dict[str, str]:
        port = self._model_port
        url = None if port is None else f"http://127.0.0.1:{port}/v1"
        return environment.of_children(self._settings, url)

    def _begin(self, program: Program, *, worker: bool = False) -> Child:
        child = Child(
            program,
            self._launcher,
            on_change=self._note_state,
            on_death=self._recover if worker else lambda identity: None,
        )
        child.start()
        return child

    def _begin_apis(self, env: Mapping[str, str]) -> list[Child]:
        """Start the API processes, which all serve on the same sockets."""
        count = self._settings.api_processes
        names = ["api"] if count == 1 else [f"api-{n}" for n in range(1, count + 1)]
        sockets = [one.fileno() for one in self._sockets]
        programs = [Program(name, self._commands.api, env, sockets) for name in names]
        return [self._begin(program) for program in programs]

    def _close_sockets(self) -> None:
        """Let go of the port: what waits in it once the last API process ends is refused."""
        for one in self._sockets:
            one.close()

    async def _start_database(self) -> None:
        if self._cluster is None:
            await reach(libpq_url(self._database_url))
            return
        chosen = await postgres_account.choose(
            self._cluster.home, embedded_postgres.find_binaries(), namespaces=self._namespaces
        )
        await self._cluster.prepare(self._launcher, chosen)
        self._database = self._begin(self._cluster.program())
        await self._cluster.wait_ready(self._database)
        self._watching.append(asyncio.create_task(self._cluster.watch(self._database)))
        self._screen.done(chosen.announcement or "PostgreSQL")

    async def _start_temporal(self) -> None:
        if self._server is None:
            client = await connect_or_explain(self._settings)
        else:
            self._temporal = self._begin(await self._server.program())
            client = await self._server.wait_ready(self._temporal)
            watch = self._server.watch(self._temporal, client)
            self._watching.append(asyncio.create_task(watch))
        self._recovery = Recovery(client, self._database_url)
        self._screen.done("Temporal")

    def _start_model(self, env: dict[str, str]) -> None:
        """Have the bundled model loaded behind the start: who calls it meanwhile waits for it."""
        if self._model_port is not None:
            argv = [*self._commands.local_model, str(self._model_port)]
            self._model = self._begin(Program("local-model", argv, env))
            self._watching.append(asyncio.create_task(self._tell_of_model(self._model)))

    async def _tell_of_model(self, model: Child) -> None:
        try:
            await model.wait_ready(_START_TIMEOUT_S)
        except Unavailable as error:
            self._screen.say(f"The bundled model does not answer: {error.message}")
        else:
            self._screen.done("local model")

    async def _tell_of_sandbox(self) -> None:
        """Say what tools run in, once a worker has found out."""
        token = self._settings.api_token
        headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
        limit = time.monotonic() + _START_TIMEOUT_S
        async with _client(10.0) as client:
            while time.monotonic() < limit:
                await asyncio.sleep(0.5)
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
                    async with client.get(f"{self._api_url}/v1/ready/", headers=headers) as answer:
                        found = (await answer.json()).get("sandbox")
                    if found is not None:
                        self._screen.say(f"Tools: {console.sandbox_words(SandboxState(**found))}.")
                        return

    async def _wait_for_apis(self) -> None:
        """Until all have reported, and one of them answers."""
        limit = time.monotonic() + _START_TIMEOUT_S
        async with _client(2.0) as client:
            while True:
                for api in self._apis:
                    api.check(limit)
                if not all(api.ready.is_set() for api in self._apis):
                    await asyncio.sleep(0.03)
                    continue
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with client.get(f"{self._api_url}/v1/health/") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.03)

    async def _wait_for_a_worker(self) -> None:
        limit = time.monotonic() + _START_TIMEOUT_S
        while not any(worker.ready.is_set() for worker in self._workers):
            self._workers[0].check(limit, deaths=6)
            await asyncio.sleep(0.03)

    def _recover(self, identity: str) -> None:
        """A worker died: tell Temporal."""
        if self._recovery is not None and self._up:
            self._recovery.begin(identity)

    def _note_state(self) -> None:
        if not self._up:
            return
        now = state.State(
            api=self._api_url,
            temporal_address=self._settings.temporal_address or "",
            temporal_ui=None if self._server is None else self._server.ui,
            database_url=self._database_url,
            processes={
                **({} if self._forks is None else {"fork-server": self._forks.pid}),
                **{child.name: child.pid for child in self._children},
            },
        )
        try:
            state.write(self._data_dir, now)
        except OSError as error:  # a full disk is no reason to stop
            _log.warning("cannot write up.json", extra={"reason": error.strerror})


async def _together(*parts: Coroutine[Any, Any, None]) -> None:
    """Await all parts; the first failure cancels the others and is raised as it is."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _client(timeout_s: float) -> aiohttp.ClientSession:
    """A client for the API, which asks it directly."""
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    return aiohttp.ClientSession(timeout=timeout, trust_env=False)
