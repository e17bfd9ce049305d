"""Tokens by which a tool uses this server's own API: for one call, for its organization alone.

They never enter a sandbox: the egress proxy adds a new one to each request that a tool makes while
its call lasts, and each is good for the moment in which that request comes. So there is nothing to
take away when the call is over.
"""

import json
import time
from dataclasses import dataclass

from o.secrets import Keyring, SecretUnreadable

PREFIX = "call-"

_OF = "token of a call"
_GOOD_FOR_S = 30.0


@dataclass(frozen=True)
class Call:
    """A call of a tool that asks.

    Attributes:
        job_id: For logs.
        agent_id: Whose tool it is; empty where a client runs it by itself.
    """

    organization_id: str
    job_id: str
    agent_id: str = ""


class CallTokens:
    """Makes tokens in a worker and reads them in the API; both have the key of stored secrets."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def mint(self, call: Call, *, good_for_s: float = _GOOD_FOR_S) -> str:
        """A token for one request that is about to be sent.

        Raises:
            Unavailable: There is no encryption key, and none can be made.
        """
        content = [call.organization_id, call.job_id, call.agent_id, time.time() + good_for_s]
        return PREFIX + self._keyring.encrypt(json.dumps(content), of=_OF)

    def read(self, token: str) -> Call | None:
        """The call that a token was made for; None when it was not made here, or is over."""
        try:
            content = self._keyring.decrypt(token.removeprefix(PREFIX), of=_OF)
        except SecretUnreadable:
            return None
        organization_id, job_id, agent_id, until = json.loads(content)
        return Call(organization_id, job_id, agent_id) if time.time() < until else None
