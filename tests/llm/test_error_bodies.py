"""The errors of providers as they spell them, each with what it is about and what V1 calls it."""

import json
from typing import Any

import pytest
from pydantic import SecretStr

from o.errors import Failure
from o.llm.failures import refused, refused_inside, without_key
from o.llm.providers.providers import Provider

PROVIDER = Provider("p", "openai", "openai", "http://127.0.0.1:1/v1", SecretStr("sk-secret-key"))

RATE, LOAD, AUTH = Failure.RATE_LIMIT, Failure.OVERLOADED, Failure.AUTHENTICATION
MONEY, LONG, BAD = Failure.NO_CREDIT, Failure.CONTEXT_WINDOW, Failure.BAD_REQUEST
ABSENT, FILTER, DENIED = Failure.NOT_FOUND, Failure.CONTENT_FILTER, Failure.FORBIDDEN
SERVER, GARBLED, LATE = Failure.SERVER_ERROR, Failure.GARBLED, Failure.TIMEOUT

ANY, BAD_KIND, NONE = "llm_error", "llm_bad_request", "llm_authentication"
SLOW, PAY, OVER = "llm_rate_limit", "llm_insufficient_credits", "context_window_exceeded"


def openai(message: str, type_: str | None, code: Any = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": type_, "param": None, "code": code}}


def anthropic(type_: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": type_, "message": message}, "request_id": "req_1"}


def google(code: int, status: str, message: str, *details: Any) -> dict[str, Any]:
    error = {"code": code, "message": message, "status": status, "details": list(details)}
    return {"error": error}


_TPM = "on tokens per minute (TPM): Limit 6000, Requested 14368, please reduce your message size"
_FILTERED = "The response was filtered due to the prompt triggering Azure OpenAI's content …"
_HARM = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {}}}
_BALANCE = "is suspended due to insufficient balance, please recharge your account"

BODIES: dict[str, tuple[int, Any, Failure, str]] = {
    # OpenAI
    "openai key": (
        401,
        openai("Incorrect…", "invalid_request_error", "invalid_api_key"),
        AUTH,
        NONE,
    ),
    "openai model": (404, openai("…", "invalid_request_error", "model_not_found"), ABSENT, ANY),
    "openai rate": (429, openai("Rate limit…", "tokens", "rate_limit_exceeded"), RATE, SLOW),
    "openai quota": (429, openai("You…", "insufficient_quota", "insufficient_quota"), MONEY, PAY),
    "openai hard limit": (400, openai("…", "x", "billing_hard_limit_reached"), MONEY, PAY),
    "openai long": (400, openai("…", "x", "context_length_exceeded"), LONG, OVER),
    "openai larger than the limit": (
        429,
        openai(f"Request too large {_TPM}", "tokens"),
        LONG,
        OVER,
    ),
    "openai server": (500, openai("The server had an error", "server_error"), SERVER, ANY),
    "openai engine": (503, openai("The engine is overloaded", "server_error"), LOAD, ANY),
    "openai country": (403, openai("…", "request_forbidden", "unsupported_country"), DENIED, ANY),
    "openai field": (400, openai("Unknown parameter: 'x'", "invalid_request_error"), BAD, BAD_KIND),
    "openai policy": (400, openai("…", "x", "content_policy_violation"), FILTER, BAD_KIND),
    # Anthropic
    "anthropic rate": (429, anthropic("rate_limit_error", "…"), RATE, SLOW),
    "anthropic overloaded": (529, anthropic("overloaded_error", "Overloaded"), LOAD, ANY),
    "anthropic overloaded, as 500": (500, anthropic("overloaded_error", "Overloaded"), LOAD, ANY),
    "anthropic long": (
        400,
        anthropic("invalid_request_error", "prompt is too long: 209303 tokens > 200000 maximum"),
        LONG,
        OVER,
    ),
    "anthropic longer with its answer": (
        400,
        anthropic("invalid_request_error", "input length and `max_tokens` exceed context limit: 1"),
        LONG,
        OVER,
    ),
    "anthropic bytes": (413, anthropic("request_too_large", "Request exceeds…"), LONG, OVER),
    "anthropic key": (401, anthropic("authentication_error", "invalid x-api-key"), AUTH, NONE),
    "anthropic rights": (403, anthropic("permission_error", "…"), DENIED, ANY),
    "anthropic model": (404, anthropic("not_found_error", "model: claude-9"), ABSENT, ANY),
    "anthropic money": (
        400,
        anthropic("invalid_request_error", "Your credit balance is too low to access the API."),
        MONEY,
        PAY,
    ),
    "anthropic bill": (402, anthropic("billing_error", "…"), MONEY, PAY),
    "anthropic server": (500, anthropic("api_error", "Internal server error"), SERVER, ANY),
    "anthropic late": (504, anthropic("timeout_error", "…"), LATE, "llm_timeout"),
    # Google
    "gemini rate": (
        429,
        google(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, …"),
        RATE,
        SLOW,
    ),
    "gemini overloaded": (503, google(503, "UNAVAILABLE", "The model is overloaded."), LOAD, ANY),
    "gemini key": (
        400,
        google(400, "INVALID_ARGUMENT", "API key not valid.", {"reason": "API_KEY_INVALID"}),
        AUTH,
        NONE,
    ),
    "gemini long": (
        400,
        google(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number …"),
        LONG,
        OVER,
    ),
    "gemini rights": (403, google(403, "PERMISSION_DENIED", "…"), DENIED, ANY),
    "gemini model": (404, google(404, "NOT_FOUND", "models/x is not found"), ABSENT, ANY),
    "gemini argument": (400, google(400, "INVALID_ARGUMENT", "Unknown name"), BAD, BAD_KIND),
    "gemini late": (504, google(504, "DEADLINE_EXCEEDED", "…"), LATE, "llm_timeout"),
    "gemini through its OpenAI face": (400, [google(400, "INVALID_ARGUMENT", "x")], BAD, BAD_KIND),
    # Groq
    "groq garbled": (
        400,
        openai("Failed to call a function.", "x", "tool_use_failed"),
        GARBLED,
        BAD_KIND,
    ),
    "groq no json": (400, openai("…", "x", "json_validate_failed"), GARBLED, BAD_KIND),
    "groq too large": (
        413,
        openai(f"Request too large {_TPM}", "tokens", "rate_limit_exceeded"),
        LONG,
        OVER,
    ),
    "groq day": (
        429,
        openai("Limit 100000. Need more tokens?", "tokens", "rate_limit_exceeded"),
        RATE,
        SLOW,
    ),
    "groq old model": (400, openai("…", "x", "model_decommissioned"), ABSENT, BAD_KIND),
    "groq flex": (498, openai("…", "x", "capacity_exceeded"), LOAD, ANY),
    # Azure
    "azure filter": (
        400,
        {"error": {"message": _FILTERED, "code": "content_filter", "innererror": _HARM}},
        FILTER,
        BAD_KIND,
    ),
    "azure deployment": (
        404,
        {"error": {"code": "DeploymentNotFound", "message": "…"}},
        ABSENT,
        ANY,
    ),
    "azure key": (401, {"statusCode": 401, "message": "Unauthorized. Access token…"}, AUTH, NONE),
    "azure rate": (
        429,
        {"error": {"code": "429", "message": "… Please retry after 26 seconds."}},
        RATE,
        SLOW,
    ),
    "github models": (413, {"error": {"code": "tokens_limit_reached", "message": "…"}}, LONG, OVER),
    # Bedrock, whose errors litellm wraps in words of its own
    "bedrock rate": (
        429,
        'litellm.RateLimitError: BedrockException - {"message":"Too many tokens, please wait"}',
        RATE,
        SLOW,
    ),
    "bedrock throttled": (400, {"__type": "ThrottlingException", "message": "…"}, RATE, SLOW),
    "bedrock long": (
        400,
        'BedrockException - {"message":"Input is too long for requested model."}',
        LONG,
        OVER,
    ),
    "bedrock access": (
        403,
        {"__type": "AccessDeniedException", "message": "You don't…"},
        DENIED,
        ANY,
    ),
    "bedrock token": (403, {"__type": "UnrecognizedClientException", "message": "…"}, AUTH, NONE),
    "bedrock not ready": (429, {"__type": "ModelNotReadyException", "message": "…"}, LOAD, SLOW),
    "bedrock most tokens": (
        400,
        {"message": "The maximum tokens you requested exceeds the model limit of 4096."},
        BAD,
        BAD_KIND,
    ),
    # OpenRouter, with the error of a provider behind it packed into text
    "openrouter money": (
        402,
        {"error": {"message": "… can only afford 4000", "code": 402}},
        MONEY,
        PAY,
    ),
    "openrouter behind it": (
        502,
        {
            "error": {
                "message": "Provider returned error",
                "code": 502,
                "metadata": {"raw": json.dumps(anthropic("overloaded_error", "x"))},
            }
        },
        LOAD,
        ANY,
    ),
    "openrouter flagged": (
        403,
        {"error": {"message": "Your input was flagged", "code": 403}},
        FILTER,
        ANY,
    ),
    "openrouter model": (
        400,
        {"error": {"message": "x is not a valid model ID", "code": 400}},
        ABSENT,
        BAD_KIND,
    ),
    "openrouter nobody": (
        503,
        {"error": {"message": "No allowed providers", "code": 503}},
        LOAD,
        ANY,
    ),
    # Servers of one's own
    "vllm long": (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 8192 tokens. However, …",
            "type": "BadRequestError",
            "code": 400,
        },
        LONG,
        OVER,
    ),
    "vllm model": (404, {"object": "error", "message": "…", "type": "NotFoundError"}, ABSENT, ANY),
    "ollama model": (404, {"error": 'model "x" not found, try pulling it first'}, ABSENT, ANY),
    "ollama busy": (503, {"error": "server busy, please try again."}, LOAD, ANY),
    "ollama died": (500, {"error": "llama runner process has terminated"}, SERVER, ANY),
    "llama.cpp long": (
        400,
        {"error": {"code": 400, "type": "exceed_context_size_error"}},
        LONG,
        OVER,
    ),
    "llama.cpp longer": (
        500,
        {"error": {"code": 500, "message": "Context size has been exceeded."}},
        LONG,
        OVER,
    ),
    "llama.cpp loads": (
        503,
        {"error": {"message": "Loading model", "type": "unavailable_error"}},
        LOAD,
        ANY,
    ),
    "lm studio long": (
        400,
        {"error": "The number of tokens to keep from the initial prompt is …"},
        LONG,
        OVER,
    ),
    "tgi overloaded": (
        429,
        {"error": "Model is overloaded", "error_type": "overloaded"},
        LOAD,
        SLOW,
    ),
    "tgi field": (
        422,
        {"error": "Input validation error", "error_type": "validation"},
        BAD,
        BAD_KIND,
    ),
    # Others
    "deepseek money": (
        402,
        openai("Insufficient Balance", "unknown_error", "invalid_request_error"),
        MONEY,
        PAY,
    ),
    "moonshot money": (
        429,
        openai(f"Your account {_BALANCE}", "exceeded_current_quota_error"),
        MONEY,
        PAY,
    ),
    "moonshot money, as 403": (403, openai("…", "exceeded_current_quota_error"), MONEY, PAY),
    "moonshot engine": (429, openai("…", "engine_overloaded_error"), LOAD, SLOW),
    "zai money": (
        429,
        {"error": {"code": "1113", "message": "Insufficient balance or …"}},
        MONEY,
        PAY,
    ),
    "cerebras rate": (
        429,
        {"type": "too_many_requests_error", "code": "request_quota_exceeded"},
        RATE,
        SLOW,
    ),
    "mistral rate": (
        429,
        {"message": "Requests rate limit exceeded", "request_id": "x"},
        RATE,
        SLOW,
    ),
    # What is too long, in the words of others
    "xai long": (
        400,
        {"error": "This model's maximum prompt length is 131072 but the request contains 537812"},
        LONG,
        OVER,
    ),
    "dashscope long": (
        400,
        openai(
            "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 9]", "x"
        ),
        LONG,
        OVER,
    ),
    "groq long": (
        400,
        openai("Please reduce the length of the messages or completion.", "x"),
        LONG,
        OVER,
    ),
    "copilot long": (
        400,
        openai("prompt token count of 9 exceeds the limit of 8", None, "model_max_prompt_tokens"),
        LONG,
        OVER,
    ),
    "moonshot long": (
        400,
        openai("Invalid request: Your request exceeded model token limit: 8192", "x"),
        LONG,
        OVER,
    ),
    "zai long": (
        400,
        {"error": {"code": "1261", "message": "Prompt exceeds max length"}},
        LONG,
        OVER,
    ),
    "a long description": (
        400,
        openai("tools[0].description exceeds max length 1024", "x"),
        BAD,
        BAD_KIND,
    ),
    "minimax long": (
        400,
        openai("invalid params, context window exceeds limit (2013)", "bad_request_error"),
        LONG,
        OVER,
    ),
    "nova long": (
        400,
        {"message": "Input Tokens Exceeded: Number of input tokens exceeds maximum length."},
        LONG,
        OVER,
    ),
    "vllm long, of a decoder": (
        400,
        openai("The decoder prompt (length 33) is longer than the maximum model length of 32", "x"),
        LONG,
        OVER,
    ),
    "sglang long": (
        400,
        openai("The input (9 tokens) is longer than the model's context length (8 tokens).", "x"),
        LONG,
        OVER,
    ),
    "tgi long": (
        422,
        {
            "error": "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 9",
            "error_type": "x",
        },
        LONG,
        OVER,
    ),
    "openai long, of responses": (
        400,
        openai("Input tokens exceed the configured limit of 272000 tokens.", "x"),
        LONG,
        OVER,
    ),
    "openai long in one message": (
        400,
        openai("Invalid 'messages[1].content': string too long.", "x", "string_above_max_length"),
        LONG,
        OVER,
    ),
    "ollama long": (
        400,
        {"error": "prompt too long; exceeded max context length by 9 tokens"},
        LONG,
        OVER,
    ),
    "cohere long": (
        400,
        {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081"},
        LONG,
        OVER,
    ),
    "anthropic longer than is paid for": (
        429,
        anthropic("rate_limit_error", "Extra usage is required for long context requests."),
        LONG,
        OVER,
    ),
    "bedrock many tokens": (429, {"message": "Too many tokens, please wait"}, RATE, SLOW),
    # What is filtered, which is of no key and of no right
    "xai guidelines": (
        403,
        {
            "code": "permission-denied",
            "error": "Content violates usage guidelines. Failed check: …",
        },
        FILTER,
        ANY,
    ),
    "dashscope inspection": (
        400,
        openai("Input data may contain inappropriate content.", "x", "data_inspection_failed"),
        FILTER,
        BAD_KIND,
    ),
    "dashscope inspection, as one word": (
        400,
        openai("<400> InternalError.Algo.DataInspectionFailed: Input text data may …", "x"),
        FILTER,
        BAD_KIND,
    ),
    "zai sensitive": (
        400,
        {"error": {"code": "1301", "message": "System detected potentially unsafe or sensitive …"}},
        FILTER,
        BAD_KIND,
    ),
    "moonshot high risk": (
        400,
        openai("The request was rejected because it was considered high risk", "content_filter"),
        FILTER,
        BAD_KIND,
    ),
    "new-api words": (
        400,
        openai("input contains sensitive words: [x]", "new_api_error", "sensitive_words_detected"),
        FILTER,
        BAD_KIND,
    ),
    "anthropic output": (
        400,
        anthropic("invalid_request_error", "Output blocked by content filtering policy"),
        FILTER,
        BAD_KIND,
    ),
    "openai prompt": (
        400,
        openai("Invalid prompt: your prompt was flagged as …", "x", "invalid_prompt"),
        FILTER,
        BAD_KIND,
    ),
    "minimax sensitive": (
        400,
        openai("input new_sensitive (1026)", "bad_request_error"),
        FILTER,
        BAD_KIND,
    ),
    "a firewall's page": (
        403,
        "<!DOCTYPE html><title>Attention Required! | Cloudflare</title>",
        DENIED,
        ANY,
    ),
    "a firewall's page, of nginx": (403, "<html><h1>403 Forbidden</h1></html>", DENIED, ANY),
    # Money
    "dashscope arrears": (
        400,
        openai(
            "Access denied, please make sure your account is in good…", "Arrearage", "Arrearage"
        ),
        MONEY,
        PAY,
    ),
    "anthropic month": (
        400,
        anthropic(
            "invalid_request_error", "You have reached your specified API usage limits. You …"
        ),
        MONEY,
        PAY,
    ),
    "litellm budget": (
        400,
        openai("Budget has been exceeded! Current cost: 10.5, Max budget: 10.0", "budget_exceeded"),
        MONEY,
        PAY,
    ),
    "xai credits": (
        403,
        {"code": "x", "error": "Your newly created team doesn't have any credits or licenses yet."},
        MONEY,
        PAY,
    ),
    "xai month": (
        429,
        {"code": "x", "error": "Your team has used all available credits or reached its monthly …"},
        MONEY,
        PAY,
    ),
    "fireworks suspended": (
        412,
        {
            "error": {
                "message": "Account x is suspended, possibly due to reaching the spending limit"
            }
        },
        MONEY,
        PAY,
    ),
    "gemini prepaid": (
        429,
        google(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."),
        MONEY,
        PAY,
    ),
    "huggingface month": (
        402,
        {"error": "You have exceeded your monthly included credits for Inference Providers."},
        MONEY,
        PAY,
    ),
    # A server that fails, in the words of a request that is wrong
    "lm studio crashed": (
        400,
        {"error": "The model has crashed without additional information. (Exit code: null)"},
        SERVER,
        BAD_KIND,
    ),
    "lm studio unloaded": (400, {"error": "Model unloaded."}, SERVER, BAD_KIND),
    "lm studio loads": (
        400,
        {"error": 'Failed to load model "qwen/qwen3". Error: Operation canceled.'},
        SERVER,
        BAD_KIND,
    ),
    "lm studio empty": (
        404,
        {"error": {"message": "No models loaded. Please load a model in the developer page."}},
        ABSENT,
        ANY,
    ),
    "ollama call": (
        500,
        {"error": "error parsing tool call: raw='{\"a\": ', err=unexpected end of JSON input"},
        GARBLED,
        BAD_KIND,
    ),
    "llama.cpp call": (
        500,
        {
            "error": {
                "code": 500,
                "message": "Failed to parse input at pos 9: <tool_call>",
                "type": "x",
            }
        },
        GARBLED,
        BAD_KIND,
    ),
    # Others
    "zai rate": (429, {"error": {"code": "1302", "message": "Rate limit reached"}}, RATE, SLOW),
    "together": (
        429,
        openai("You have reached the rate limit specific to this model", "model_rate_limit"),
        RATE,
        SLOW,
    ),
    "litellm key": (
        400,
        openai("Authentication Error, Invalid proxy server token passed", "auth_error", "400"),
        AUTH,
        NONE,
    ),
    "litellm key of 401": (401, openai("…", "token_not_found_in_db", "401"), AUTH, NONE),
    "moonshot parameter": (
        400,
        openai("invalid temperature: only 1 is allowed", "x"),
        BAD,
        BAD_KIND,
    ),
    "moonshot key": (
        401,
        openai("Invalid Authentication", "invalid_authentication_error"),
        AUTH,
        NONE,
    ),
    "xai key": (400, {"code": "x", "error": "Incorrect API key provided: xa***."}, AUTH, NONE),
    "fireworks model": (
        404,
        openai("Model not found, inaccessible", "x", "NOT_FOUND"),
        ABSENT,
        ANY,
    ),
    "cohere": (
        400,
        {"message": "invalid request: all elements in tools must have a name."},
        BAD,
        BAD_KIND,
    ),
    "fastapi": (422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, BAD, BAD_KIND),
    "moved": (301, "<html><h1>301 Moved Permanently</h1></html>", ABSENT, ANY),
    "a proxy's page": (502, "<html><h1>502 Bad Gateway</h1></html>", SERVER, ANY),
    "cloudflare": (524, "error code: 524", SERVER, ANY),
    "nothing": (503, "", LOAD, ANY),
    "a limit of bytes": (413, "<html>413 Request Entity Too Large</html>", LONG, OVER),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_an_error_is_what_its_provider_means(body: tuple[int, Any, Failure, str]) -> None:
    status, said, failure, kind = body
    error = refused(PROVIDER, status, said if isinstance(said, str) else json.dumps(said), {})
    assert (error.failure, error.kind) == (failure, kind)
    assert error.retryable == (failure in (RATE, LOAD, SERVER, GARBLED, LATE))


INSIDE: dict[str, tuple[Any, Failure, str]] = {
    "openrouter": ({"code": 429, "message": "Provider returned error"}, RATE, SLOW),
    "openrouter disconnected": ({"code": "server_error", "message": "disconnected"}, SERVER, ANY),
    "anthropic": ({"type": "overloaded_error", "message": "Overloaded"}, LOAD, ANY),
    "google": ({"code": 503, "status": "UNAVAILABLE", "message": "…"}, LOAD, ANY),
    "vllm": (
        {"object": "error", "message": "…", "type": "BadRequestError", "code": 400},
        BAD,
        BAD_KIND,
    ),
    "sglang": ({"message": "Internal", "type": "InternalServerError", "code": 500}, SERVER, ANY),
    "groq": ({"message": "…", "code": "tool_use_failed", "status_code": 400}, GARBLED, BAD_KIND),
    "text": ("Model is overloaded", LOAD, ANY),
    "no status": ({"type": "invalid_request_error", "message": "…"}, BAD, BAD_KIND),
    "late": ({"code": 504, "message": "…"}, LATE, "llm_timeout"),
}


@pytest.mark.parametrize("inside", INSIDE.values(), ids=INSIDE)
def test_an_error_inside_a_good_answer_is_what_it_says(inside: tuple[Any, Failure, str]) -> None:
    said, failure, kind = inside
    error = refused_inside(PROVIDER, said)
    assert (error.failure, error.kind) == (failure, kind)


def test_what_says_that_another_try_is_of_no_use_is_believed() -> None:
    assert not refused(PROVIDER, 429, "", {"X-Should-Retry": "false"}).retryable
    assert refused(PROVIDER, 429, "", {"X-Should-Retry": "true"}).retryable


def test_a_key_is_taken_out_and_a_short_one_spoils_no_words() -> None:
    text = "next: the key sk-secret-key (sk-se***key) is expired"
    assert without_key(text, PROVIDER) == "next: the key [key] (sk-se***key) is expired"
    short = Provider("p", "openai", "openai", "http://127.0.0.1:1", SecretStr("x"))
    assert without_key(text, short) == text
