"""What runs the built-in tools that work outside of transactions."""

from functools import partial

from temporalio.client import Client

from activities.runners.agent_messages import AgentMessages, MessageLimits
from activities.runners.run_code import RunCodeRunner
from o.domain.agents import Agent
from o.settings.all import Settings
from o.storage.database import Database
from o.storage.tools.variables import Variables
from o.storage.turn.runs import RunOfAgent
from o.temporal.conversations import submit_run
from o.tools.code import RUN_CODE
from o.tools.invocation import ToolRunner
from o.web.tools import web_runners
from sandbox.egress.policy import AGENT_KEY, network_for
from sandbox.protocol import Limits, Network, Sandbox


def built_in_runners(
    settings: Settings,
    client: Client,
    database: Database,
    *,
    slots: int,
    sandbox: Sandbox,
    limits: Limits,
    variables: Variables,
) -> dict[str, ToolRunner]:
    """The runners by the names of their tools.

    Args:
        settings: What the operator allows.
        client: By which agents are told that they have a message.
        database: Where messages are.
        slots: How many activities this worker carries out at once. Those that wait for agents
            leave half of them to what they wait for.
        sandbox: Where code is run.
        limits: Of one call in it.
        variables: Of tools, of which one may be a key of the agent's own.
    """

    async def submit(sent: RunOfAgent) -> None:
        await submit_run(
            client,
            settings.task_queue,
            sent.run,
            agent_name=sent.agent_name,
            model=sent.model,
            is_warm=sent.is_warm,
        )

    def network(agent: Agent | None) -> Network:
        return network_for(settings, agent_hosts=agent and agent.metadata.get(AGENT_KEY))

    bounds = MessageLimits(
        queue=settings.queue_limit,
        reply_s=settings.agent_reply_timeout_s,
        agents_at_once=settings.agents_at_once,
        waiting=slots // 2,
    )
    messages = AgentMessages(database, submit, bounds)
    return {
        **messages.runners(),
        **web_runners(settings, partial(variables.of_invocation, database)),
        RUN_CODE.spec.name: RunCodeRunner(sandbox, limits, network),
    }
