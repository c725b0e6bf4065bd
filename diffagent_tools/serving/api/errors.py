"""What goes wrong, in the shape that OpenAI's clients read."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from tool_specs.exceptions import CallError, CatalogError, ConfigError, DiffAgentError, DrawingCancelled, RequestError

logger = logging.getLogger(__name__)

INVALID: Final = "invalid_request_error"
SERVER_FAULT: Final = "server_error"
NO_RETRY: Final = {"x-should-retry": "false"}
"""OpenAI's clients repeat every 5xx on their own; a drawing that failed would fail again, at the same cost."""
CLIENT_LEFT: Final = 499
"""Nobody reads this answer; it stands in the log and the metrics."""


class ApiError(Exception):
    """An answer that is an error."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = INVALID,  # noqa: A002 - OpenAI's word
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Describe an error.

        Args:
            status: HTTP status.
            message: What is wrong, and what to do about it.
            type: OpenAI's kind of error.
            code: A word for programs.
            param: The field of the request that is wrong.
            headers: To send along.
        """
        super().__init__(message)
        self.status = status
        self.body: dict[str, object] = {
            "error": {"message": message, "type": type, "param": param, "code": code},
        }
        self.headers = dict(headers or {})

    @property
    def response(self) -> JSONResponse:
        """The answer itself."""
        return JSONResponse(self.body, self.status, self.headers)


_KINDS: tuple[tuple[type[DiffAgentError], int, str, str], ...] = (
    (CatalogError, 404, INVALID, "model_not_found"),
    (RequestError, 400, INVALID, "invalid_request"),
    (CallError, 400, INVALID, "invalid_call"),
    (DrawingCancelled, 503, SERVER_FAULT, "stopping"),
    (ConfigError, 500, SERVER_FAULT, "server_setup"),
    (DiffAgentError, 500, SERVER_FAULT, "drawing_failed"),
)
"""Status, type and code by kind of error; the first that matches."""


def as_api_error(error: BaseException) -> ApiError:
    """Any error as an answer. What nobody foresaw is logged, and not told: it may hold anything."""
    if isinstance(error, ApiError):
        return error
    for kind, status, told, code in _KINDS:
        if isinstance(error, kind):
            headers = NO_RETRY if status >= 500 else {}
            return ApiError(status, str(error), type=told, code=code, headers=headers)
    logger.error("a request failed", exc_info=error)
    msg = "something went wrong in the server; its log says what"
    return ApiError(500, msg, type=SERVER_FAULT, code="internal_error", headers=NO_RETRY)


def too_late(seconds: float) -> ApiError:
    """The deadline passed with no picture."""
    msg = f"there was no picture after {seconds:g} s; ask for fewer or smaller ones, or try again later"
    return ApiError(504, msg, type=SERVER_FAULT, code="deadline_exceeded", headers=NO_RETRY)


def install(app: FastAPI) -> None:
    """Let an application answer every error in OpenAI's shape."""

    async def told(_request: Request, error: Exception) -> JSONResponse:
        return as_api_error(error).response

    async def invalid(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return _invalid(error).response

    async def http(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return ApiError(error.status_code, str(error.detail), headers=error.headers).response

    app.add_exception_handler(ApiError, told)
    app.add_exception_handler(DiffAgentError, told)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, told)


def _invalid(error: RequestValidationError) -> ApiError:
    """The first thing that is wrong with a request's body; what was sent is not repeated."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"][1:])
    if first["type"] == "json_invalid":
        return ApiError(400, "the body is not valid JSON", code="invalid_json")
    if not path:
        msg = "the body must be a JSON object, sent as application/json"
        return ApiError(400, msg, code="invalid_json")
    return ApiError(400, f"{path}: {first['msg']}", param=path, code=str(first["type"]))
