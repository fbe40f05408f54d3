"""JSON answers that survive any text: a lone surrogate is escaped, and NaN, which JSON has not, never gets here."""

from __future__ import annotations

import json
from typing import Any, final

from starlette.responses import Response

from assay.serving.problems import ServiceError


def dumped(content: Any) -> bytes:
    """Compact JSON, in UTF-8 where the text allows it.

    Raises:
        ValueError: a number that is not finite.
    """
    try:
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


@final
class Json(Response):
    """An answer in JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The body."""
        return dumped(content)


def problem(code: str, message: str, http: int, retry_after: float | None = None) -> Json:
    """The answer to a request that is not answered with scores."""
    wait = None if retry_after is None else {"Retry-After": str(max(1, round(retry_after + 0.5)))}
    return Json({"error": {"code": code, "message": message}}, status_code=http, headers=wait)


def problem_of(error: ServiceError) -> Json:
    """`problem` of what the service raised."""
    return problem(error.code, str(error), error.http, error.retry_after)
