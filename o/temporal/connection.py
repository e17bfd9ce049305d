"""The connection to the operator's Temporal server, and what that has to know before it is used."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable
from datetime import timedelta
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    RegisterNamespaceRequest,
    UpdateNamespaceRequest,
)
from temporalio.client import Client
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode, TLSConfig

from o.errors import InvalidInput, Unavailable
from o.settings import Settings
from o.temporal.codec import converter_of
from o.temporal.traces import SentTraces
from o.tracing import is_traced
from workflows.temporal_ui import AGENT_ID, AGENT_NAME, RUN_STATUS

_log = logging.getLogger(__name__)

_TRY_S = 10.0
_REFUSED = re.compile("PermissionDenied|Unauthenticated", re.IGNORECASE)
_RETENTION_S = 7 * 24 * 3600


async def connect(
    settings: Settings, *, lazy: bool = False, runtime: Runtime | None = None
) -> Client:
    """A client for the operator's Temporal server; a lazy one connects at its first call.

    Raises:
        InvalidInput: A file that TLS needs cannot be read.
        RuntimeError: Nothing answers.
    """
    key = settings.temporal_api_key
    return await Client.connect(
        settings.temporal_address or "127.0.0.1:7233",
        namespace=settings.temporal_namespace,
        api_key=None if key is None else key.get_secret_value(),
        tls=_tls(settings) if settings.speaks_tls_to_temporal else False,
        lazy=lazy,
        runtime=runtime,
        interceptors=[SentTraces()] if is_traced() else [],
        data_converter=converter_of(settings),
    )


def _tls(settings: Settings) -> TLSConfig:
    return TLSConfig(
        server_root_ca_cert=_pem(settings.temporal_ca_file, "O_TEMPORAL_CA_FILE"),
        domain=settings.temporal_server_name,
        client_cert=_pem(settings.temporal_cert_file, "O_TEMPORAL_CERT_FILE"),
        client_private_key=_pem(settings.temporal_key_file, "O_TEMPORAL_KEY_FILE"),
    )


def _pem(file: Path | None, variable: str) -> bytes | None:
    if file is None:
        return None
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{variable}: {file}: {error.strerror}") from None


async def check_serving(client: Client, *, timeout_s: float = 5.0) -> None:
    """Make sure that Temporal serves the client's namespace now.

    Raises:
        RuntimeError: Nothing answers.
        RPCError: Something answers, but not for the namespace.
    """
    await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=client.namespace), timeout=timedelta(seconds=timeout_s)
    )


async def connect_or_explain(
    settings: Settings, *, patience_s: float = 0.0, runtime: Runtime | None = None
) -> Client:
    """A client of a Temporal server that serves our namespace now.

    Args:
        settings: Where it is, and how it knows us.
        patience_s: How long it may take to come up. Whoever is not let in does not wait.
        runtime: What counts the client's calls; None for the usual one.

    Raises:
        InvalidInput: A file that TLS needs cannot be read.
        Unavailable: It does not serve; the message tells what to do.
    """
    limit = time.monotonic() + patience_s
    while True:
        try:
            async with asyncio.timeout(_TRY_S):
                client = await connect(settings, runtime=runtime)
                await check_serving(client)
                return client
        except (RPCError, RuntimeError, TimeoutError) as error:
            if _is_refusal(error) or time.monotonic() >= limit:
                raise _explained(settings, error) from error
            _log.debug("temporal is away", extra={"error": type(error).__name__})
        await asyncio.sleep(0.05)


def _is_refusal(error: Exception) -> bool:
    """Whether Temporal does not let us in. The first call of all has no error of its own."""
    if isinstance(error, RPCError):
        return error.status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED)
    return _REFUSED.search(str(error)) is not None


def _explained(settings: Settings, error: Exception) -> Unavailable:
    """What an operator can do about it; what the error says is not repeated."""
    address, namespace = settings.temporal_address, settings.temporal_namespace
    if _is_refusal(error):
        return Unavailable(
            f"the Temporal server at {address} does not let us into the namespace {namespace}: "
            "set O_TEMPORAL_API_KEY, or O_TEMPORAL_CERT_FILE and O_TEMPORAL_KEY_FILE"
        )
    return Unavailable(
        f"no Temporal server at {address} serves the namespace {namespace}: start it and "
        "register the namespace, or set TEMPORAL_ADDRESS to another one "
        f"(TLS is {'on' if settings.speaks_tls_to_temporal else 'off'}; "
        "`o up` without TEMPORAL_ADDRESS brings its own)"
    )


async def register(settings: Settings) -> list[str]:
    """Make the namespace and O's search attributes known to Temporal; repeating it is harmless.

    Returns:
        What was done, or the commands for an operator where we may not do it.

    Raises:
        Unavailable: Nothing answers at the address, or it does not let us in.
    """
    name = settings.temporal_namespace
    lines: list[str] = []
    kept_s = settings.temporal_retention_s or _RETENTION_S
    try:
        client = await connect(settings)
        is_registered = await _is_registered(client)
    except (RPCError, RuntimeError) as error:
        raise _explained(settings, error) from error
    if not is_registered:
        lines += await _attempt(
            client.workflow_service.register_namespace(
                RegisterNamespaceRequest(
                    namespace=name,
                    workflow_execution_retention_period=Duration(seconds=kept_s),
                )
            ),
            f"temporal operator namespace create --namespace {name} --retention {kept_s}s",
        )
    elif settings.temporal_retention_h is not None and await _kept_s(client) != kept_s:
        lines += await _attempt(
            keep_ended(client, kept_s),
            f"temporal operator namespace update --namespace {name} --retention {kept_s}s",
        )
    known = await _search_attributes(client)
    for attribute in (AGENT_ID.name, AGENT_NAME.name, RUN_STATUS.name):
        if attribute not in known:
            lines += await _attempt(
                client.operator_service.add_search_attributes(
                    AddSearchAttributesRequest(
                        namespace=name,
                        search_attributes={attribute: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD},
                    )
                ),
                f"temporal operator search-attribute create --namespace {name} "
                f"--name {attribute} --type Keyword",
            )
    return lines


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


async def _search_attributes(client: Client) -> frozenset[str]:
    try:
        found = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
    except RPCError:
        return frozenset()
    return frozenset(found.custom_attributes)


async def _attempt(call: Awaitable[object], command: str) -> list[str]:
    """Do it, or name the command that somebody with the right to do it can run."""
    try:
        await call
    except RPCError as error:
        if error.status is RPCStatusCode.ALREADY_EXISTS:
            return []
        return [f"Temporal refused ({error.status.name}); run: {command}"]
    return [f"done: {command}"]
