"""Statements about providers that rest. None is sent while all providers answer.

That something is noted of a provider comes with each step (`o.storage.turn.opening`).
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from o.errors import ModelError
from workflows import options

NOTED = """
    (SELECT jsonb_agg(jsonb_build_object(
         'provider', provider, 'error_type', error_type, 'error_status', error_status,
         'wait_s', extract(epoch FROM until - now())))
     FROM provider_rests WHERE provider_rests.organization_id = run.organization_id)
"""
"""What is noted of the providers of the organization of `run`, as `ProviderRest`s."""

# A failure counts once a conversation: one person who tries again and again tells no more. While
# the provider rests, what was under way tells nothing new; only the call that tries it does.
_NOTE = text(
    """
    INSERT INTO provider_rests AS rest
        (organization_id, provider, failed_conversations, error_type, error_status, rests, until)
    SELECT :organization_id, :provider, new.failed, :error_type, :error_status,
        CASE WHEN :most <= 1 THEN 1 ELSE 0 END,
        CASE WHEN :most <= 1 THEN now() + make_interval(secs => new.first_s) END
    FROM (SELECT jsonb_build_object(CAST(:conversation_id AS text), extract(epoch FROM now()))
                     AS failed,
                 greatest(CAST(:first_s AS double precision), :asked_s) AS first_s) AS new
    ON CONFLICT (organization_id, provider) DO UPDATE SET (failed_conversations, rests, until) = (
        SELECT
            CASE WHEN counted.conversations >= :most OR :is_probe THEN '{}' ELSE counted.recent END,
            rest.rests + CASE WHEN counted.conversations >= :most OR :is_probe THEN 1 ELSE 0 END,
            CASE WHEN counted.conversations >= :most OR :is_probe THEN now() + make_interval(
                secs => greatest(:asked_s, least(:longest_s, :first_s * power(2, rest.rests))))
            END
        FROM (
            SELECT count(*) AS conversations, coalesce(jsonb_object_agg(key, value), '{}') AS recent
            FROM jsonb_each(rest.failed_conversations || excluded.failed_conversations)
            WHERE CAST(value AS double precision) > extract(epoch FROM now()) - :window_s
        ) AS counted
    ), error_type = excluded.error_type, error_status = excluded.error_status
    WHERE rest.until IS NULL OR :is_probe
    RETURNING until IS NOT NULL
    """
)
_TAKE_PROBE = text(
    """
    UPDATE provider_rests SET until = now() + make_interval(secs => :lease_s)
    WHERE organization_id = :organization_id AND provider = :provider AND until <= now()
    RETURNING 1
    """
)
_END = text(
    "DELETE FROM provider_rests WHERE organization_id = :organization_id AND provider = :provider"
)


async def note_failure(
    connection: AsyncConnection,
    organization_id: str,
    provider: str,
    conversation_id: str,
    error: ModelError,
    *,
    most: int,
    is_probe: bool,
) -> bool:
    """Note that a call has failed; with the `most`-th conversation, or a probe, it rests.

    A rest is twice as long as the one before it, and never shorter than what the provider asks.

    Returns:
        Whether it rests from now on.
    """
    begun = await connection.scalar(
        _NOTE,
        {
            "organization_id": organization_id,
            "provider": provider,
            "conversation_id": conversation_id,
            "error_type": error.kind,
            "error_status": error.status,
            "most": most,
            "is_probe": is_probe,
            "first_s": options.FIRST_REST_S,
            "longest_s": options.LONGEST_REST_S,
            "asked_s": error.retry_after_s or 0.0,
            "window_s": options.FAILURES_WITHIN_S,
        },
    )
    return bool(begun)


async def take_probe(connection: AsyncConnection, organization_id: str, provider: str) -> bool:
    """Become the one who tries a provider whose rest is over; the others go on waiting.

    Whoever does and never tells is replaced after `options.PROBE_LEASE_S`.
    """
    found = await connection.scalar(
        _TAKE_PROBE,
        {
            "organization_id": organization_id,
            "provider": provider,
            "lease_s": options.PROBE_LEASE_S,
        },
    )
    return found is not None


async def end_rest(connection: AsyncConnection, organization_id: str, provider: str) -> None:
    """The provider answers: nothing that was noted of it holds any more."""
    await connection.execute(_END, {"organization_id": organization_id, "provider": provider})
