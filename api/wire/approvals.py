"""V1's spelling of approval requests and answers to them, and of the calls and returns in both."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from api.wire.fields import Key, RequestBody, Text
from o.domain.messages import ApprovalResponse, ClientReturn, Decision, ToolCall, ToolReturn


class _ReturnText(RequestBody):
    type: Literal["text"] = "text"
    text: Text


class _ReturnImage(RequestBody):
    """An image in a tool's return, of which the model reads no more than that it is one."""

    type: Literal["image"]

    @property
    def text(self) -> str:
        return "[image]"


class ApprovalReturnBody(RequestBody):
    """V1's `ApprovalReturn`: what a person says to one call."""

    type: Literal["approval"] = "approval"
    tool_call_id: Text
    approve: bool
    reason: Text | None = None

    def to_decision(self) -> Decision:
        """What is decided."""
        return Decision(
            tool_call_id=self.tool_call_id, approve=self.approve, reason=self.reason or None
        )


class ClientReturnBody(RequestBody):
    """V1's `ToolReturn` of a client: what its own tool returned."""

    type: Literal["tool"] = "tool"
    tool_call_id: Text
    tool_return: Text | list[Annotated[_ReturnText | _ReturnImage, Field(discriminator="type")]]
    status: Literal["success", "error"] = "success"
    stdout: list[Text] | None = None
    stderr: list[Text] | None = None

    def to_decision(self) -> Decision:
        """What is decided: the call was made, by the client."""
        said = self.tool_return
        content = said if isinstance(said, str) else "\n".join(part.text for part in said)
        returned = ClientReturn(
            status=self.status, content=content, stdout=self.stdout, stderr=self.stderr
        )
        return Decision(tool_call_id=self.tool_call_id, approve=True, returned=returned)


class ApprovalBody(RequestBody):
    """V1's `ApprovalCreate`: an answer to each call, or in the older form one to all of them."""

    type: Literal["approval"]
    approvals: (
        list[Annotated[ApprovalReturnBody | ClientReturnBody, Field(discriminator="type")]] | None
    ) = None
    approve: bool | None = None
    approval_request_id: Text | None = None
    reason: Text | None = None
    otid: Key | None = Field(None, max_length=200)

    @model_validator(mode="after")
    def _says_what_about_what(self) -> Self:
        """What names nothing would answer whatever waits when it comes, seen or not."""
        if not self.approvals and (self.approve is None or not self.approval_request_id):
            raise ValueError(
                "give 'approvals', or 'approve' and 'approval_request_id' for all that waits"
            )
        return self

    def to_decisions(self) -> list[Decision]:
        """What is decided; without `approvals`, of every call that the request is about."""
        request_id = self.approval_request_id or None
        if self.approvals:
            return [
                answer.to_decision().model_copy(update={"request_id": request_id})
                for answer in self.approvals
            ]
        return [
            Decision(
                tool_call_id=request_id or "",
                approve=bool(self.approve),
                reason=self.reason or None,
            )
        ]


class ToolReturnBody(RequestBody):
    """V1's `ToolReturnCreate`: what the client's own tools returned."""

    type: Literal["tool_return"]
    tool_returns: list[ClientReturnBody] = Field(min_length=1)
    otid: Key | None = Field(None, max_length=200)

    def to_decisions(self) -> list[Decision]:
        """What is decided: the calls were made, by the client."""
        return [returned.to_decision() for returned in self.tool_returns]


def call_fields(calls: Sequence[ToolCall]) -> dict[str, Any]:
    """What a message of calls holds, made or waiting; `tool_call` repeats the first."""
    shown = [
        {"name": call.name, "arguments": call.arguments, "tool_call_id": call.id} for call in calls
    ]
    return {"tool_call": shown[0], "tool_calls": shown}


def return_fields(returned: ClientReturn | ToolReturn, tool_call_id: str) -> dict[str, Any]:
    """What one call returned, whoever made it."""
    return {
        "tool_return": returned.content,
        "status": returned.status,
        "tool_call_id": tool_call_id,
        "stdout": returned.stdout,
        "stderr": returned.stderr,
    }


def response_fields(response: ApprovalResponse) -> dict[str, Any]:
    """What an `approval_response_message` holds, in the newer form and the older one."""
    decisions = response.decisions
    reasons = [decision.reason for decision in decisions if decision.reason]
    return {
        "approvals": [_decision(decision) for decision in decisions],
        "approve": all(decision.approve for decision in decisions),
        "approval_request_id": response.approval_request_id,
        "reason": reasons[0] if reasons else None,
    }


def _decision(decision: Decision) -> dict[str, Any]:
    returned = decision.returned
    if returned is None:
        return {
            "type": "approval",
            "tool_call_id": decision.tool_call_id,
            "approve": decision.approve,
            "reason": decision.reason,
        }
    return {"type": "tool"} | return_fields(returned, decision.tool_call_id)
