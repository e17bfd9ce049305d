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
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    RegisterNamespaceRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode, TLSConfig

from o.errors import InvalidInput, Unavailable
from o.settings import Settings
from workflows.temporal_ui import AGENT_ID, AGENT_NAME, RUN_STATUS

_log = logging.getLogger(__name__)

_TRY_S = 10.0
_REFUSED = re.compile("PermissionDenied|Unauthenticated", re.IGNORECASE)
_RETENTION_S = 7 * 24 * 3600


async def connect(settings: Settings, *, lazy: bool = False) -> Client:
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


async def connect_or_explain(settings: Settings, *, patience_s: float = 0.0) -> Client:
    """A client of a Temporal server that serves our namespace now.

    Args:
        settings: Where it is, and how it knows us.
        patience_s: How long it may take to come up. Whoever is not let in does not wait.

    Raises:
        InvalidInput: A file that TLS needs cannot be read.
        Unavailable: It does not serve; the message tells what to do.
    """
    limit = time.monotonic() + patience_s
    while True:
        try:
            async with asyncio.timeout(_TRY_S):
                client = await connect(settings)
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
                    workflow_execution_retention_period=Duration(seconds=_RETENTION_S),
                )
            ),
            f"temporal operator namespace create --namespace {name} --retention 7d",
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
