"""The connection to the operator's Temporal server."""

import asyncio
import logging
import re
import time
from datetime import timedelta
from pathlib import Path

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode, TLSConfig

from o.errors import InvalidInput, Unavailable
from o.settings.all import Settings
from o.temporal.codec import converter_of
from o.temporal.traces import SentTraces
from o.tracing import is_traced

_log = logging.getLogger(__name__)

_TRY_S = 10.0
_REFUSED = re.compile("PermissionDenied|Unauthenticated", re.IGNORECASE)


class NamespaceMissing(Unavailable):
    """Temporal serves, and does not know the namespace."""


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
                raise explained(settings, error) from error
            _log.debug("temporal is away", extra={"error": type(error).__name__})
        await asyncio.sleep(0.05)


def _is_refusal(error: Exception) -> bool:
    """Whether Temporal does not let us in. The first call of all has no error of its own."""
    if isinstance(error, RPCError):
        return error.status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED)
    return _REFUSED.search(str(error)) is not None


def explained(settings: Settings, error: Exception) -> Unavailable:
    """What an operator can do about it; what the error says is not repeated."""
    address, namespace = settings.temporal_address, settings.temporal_namespace
    if _is_refusal(error):
        return Unavailable(
            f"the Temporal server at {address} does not let us into the namespace {namespace}: "
            "set O_TEMPORAL_API_KEY, or O_TEMPORAL_CERT_FILE and O_TEMPORAL_KEY_FILE"
        )
    if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
        return NamespaceMissing(
            f"the Temporal server at {address} has no namespace {namespace}: `o migrate` registers "
            "it, or set TEMPORAL_NAMESPACE to one that is there"
        )
    return Unavailable(
        f"no Temporal server at {address} serves the namespace {namespace}: start it, "
        "or set TEMPORAL_ADDRESS to another one "
        f"(TLS is {'on' if settings.speaks_tls_to_temporal else 'off'}; "
        "`o up` without TEMPORAL_ADDRESS brings its own)"
    )
