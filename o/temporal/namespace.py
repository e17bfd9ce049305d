"""What a namespace of Temporal needs before O's executions begin in it, and how it gets that."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import (
    CountWorkflowExecutionsRequest,
    DescribeNamespaceRequest,
    RegisterNamespaceRequest,
    UpdateNamespaceRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from o.errors import Unavailable
from o.settings.all import Settings
from o.temporal.connection import check_serving, connect, explained
from workflows.temporal_ui import AGENT_ID, AGENT_NAME, RUN_STATUS

ATTRIBUTES = (AGENT_ID.name, AGENT_NAME.name, RUN_STATUS.name)

_RETENTION_S = 7 * 24 * 3600
_LIMIT_S = 40.0
"""Servers look for new namespaces and search attributes every ten seconds, each by itself."""
_PAUSE_S = 0.2
_AWAY_S = 10.0
"""So long the list of executions may be away, through a restart say."""
_PASSING = (RPCStatusCode.NOT_FOUND, RPCStatusCode.UNAVAILABLE)
_LACKING = (RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.NOT_FOUND)
_CLOSED = (
    RPCStatusCode.PERMISSION_DENIED,
    RPCStatusCode.UNAUTHENTICATED,
    RPCStatusCode.UNIMPLEMENTED,
)
_NAMES_ALL = " AND ".join(f"{name} = 'o'" for name in ATTRIBUTES)


async def is_prepared(client: Client, *, timeout_s: float = 5.0) -> bool | None:
    """Whether the client's namespace is there with O's search attributes.

    No turn begins in one without them. None where Temporal does not say, because its list of
    executions is away or closed to us; it is asked once, so that nobody waits for that list.
    """
    status = await _status_of_list(client, timeout_s=timeout_s)
    if status is None:
        return True
    return False if status in _LACKING else None


async def _status_of_list(client: Client, *, timeout_s: float = 5.0) -> RPCStatusCode | None:
    """How Temporal fails to count executions by O's search attributes; None where it does not."""
    request = CountWorkflowExecutionsRequest(namespace=client.namespace, query=_NAMES_ALL)
    try:
        await client.workflow_service.count_workflow_executions(
            request, timeout=timedelta(seconds=timeout_s)
        )
    except RPCError as error:
        return error.status
    return None


async def register(settings: Settings, tell: Callable[[str], None]) -> None:
    """Make the namespace and O's search attributes known to Temporal; repeating it is harmless.

    Waits until Temporal knows what was made, 40 s at most.

    Args:
        settings: Where Temporal is, and how it knows us.
        tell: Is told what was done, or the commands for an operator where we may not do it.

    Raises:
        Unavailable: Nothing answers at the address, it does not let us in, or something is left
            to do.
    """
    try:
        client = await connect(settings)
        is_registered = await _is_registered(client)
    except (RPCError, RuntimeError) as error:
        raise explained(settings, error) from error
    steps = _Steps(client.namespace, tell)
    kept_s = settings.temporal_retention_s or _RETENTION_S
    if not is_registered:
        await steps.make(
            partial(_create, client, kept_s), f"namespace create --retention {kept_s}s"
        )
    elif settings.temporal_retention_h is not None and await _kept_s(client) != kept_s:
        await steps.make(
            partial(keep_ended, client, kept_s), f"namespace update --retention {kept_s}s"
        )
    if await is_prepared(client) is not True:
        await _add_attributes(client, steps)
    if not steps.refused:
        return
    refusal = (
        f"Temporal refused what O needs in the namespace {client.namespace}: have somebody "
        "who may do it run the commands above, and run `o migrate` again"
    )
    status = await _status_of_list(client)
    if status is not None and status in _CLOSED:
        refusal += (
            f". It does not let us count executions either ({status.name}), so that we cannot "
            "see what is there already: that has to be allowed as well"
        )
    raise Unavailable(refusal)


class _Steps:
    """What is done one after the other, until Temporal does it or refuses."""

    def __init__(self, namespace: str, tell: Callable[[str], None]) -> None:
        self.refused = False
        self._namespace = namespace
        self.tell = tell
        self._limit = time.monotonic() + _LIMIT_S

    @property
    def is_late(self) -> bool:
        return time.monotonic() >= self._limit

    async def make(self, call: Callable[[], Awaitable[object]], command: str) -> None:
        """Do it, or name the command that somebody with the right to do it can run.

        A namespace that was made a moment ago is not found everywhere yet.
        """
        command = f"temporal operator {command} --namespace {self._namespace}"
        while True:
            try:
                await call()
            except RPCError as error:
                if error.status is RPCStatusCode.ALREADY_EXISTS:
                    return
                if error.status in _PASSING and not (self.is_late or self.refused):
                    await asyncio.sleep(_PAUSE_S)
                    continue
                self.refused = True
                self.tell(f"Temporal refused ({error.status.name}); run: {command}")
            else:
                self.tell(f"done: {command}")
            return


async def _add_attributes(client: Client, steps: _Steps) -> None:
    for name in ATTRIBUTES:
        request = AddSearchAttributesRequest(
            namespace=client.namespace,
            search_attributes={name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD},
        )
        await steps.make(
            partial(client.operator_service.add_search_attributes, request),
            f"search-attribute create --name {name} --type Keyword",
        )
    if not steps.refused:
        await _wait_until_found(client, steps)


async def _wait_until_found(client: Client, steps: _Steps) -> None:
    """Until Temporal finds the search attributes. Where we may not ask it, that is only told.

    Raises:
        Unavailable: It does not find them, or its list of executions is away.
    """
    seen = time.monotonic()
    while (status := await _status_of_list(client)) is not None:
        if status in _CLOSED:
            steps.tell(
                f"Temporal does not let us count executions ({status.name}), and so not see "
                "whether it finds the search attributes by now: that takes it some 10 s"
            )
            return
        if status in _LACKING:
            seen = time.monotonic()
            if steps.is_late:
                raise Unavailable(
                    f"Temporal does not find O's search attributes ({', '.join(ATTRIBUTES)}, of "
                    f"the type Keyword) in the namespace {client.namespace}: see whether another "
                    "program has made them with another type, and run `o migrate` again"
                )
        if time.monotonic() >= seen + _AWAY_S:
            raise Unavailable(
                f"Temporal cannot count executions in the namespace {client.namespace} "
                f"({status.name}): see to its visibility store, and run `o migrate` again"
            )
        await asyncio.sleep(_PAUSE_S)


async def _create(client: Client, kept_s: int) -> None:
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=client.namespace,
            workflow_execution_retention_period=Duration(seconds=kept_s),
        )
    )


async def keep_ended(client: Client, kept_s: int) -> None:
    """Have Temporal keep the histories of executions that have ended for `kept_s` seconds.

    Those that end from now on; a repeat is harmless.

    Raises:
        RPCError: We may not do it, or it takes no so short a time.
    """
    await client.workflow_service.update_namespace(
        UpdateNamespaceRequest(
            namespace=client.namespace,
            config=NamespaceConfig(
                workflow_execution_retention_ttl=Duration(seconds=kept_s),
            ),
        )
    )


async def _kept_s(client: Client) -> int:
    """How long they are kept now; 0 where it does not say."""
    try:
        found = await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace)
        )
    except RPCError:
        return 0
    return found.config.workflow_execution_retention_ttl.seconds


async def _is_registered(client: Client) -> bool:
    try:
        await check_serving(client)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True
