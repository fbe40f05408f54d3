"""The server over HTTP: the native protocol and every dialect, on one service."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from assay import __version__
from assay.serving.dialects.chat import Upstream, chat_routes
from assay.serving.dialects.cosmos import cosmos_routes
from assay.serving.dialects.flow_grpo import flow_grpo_routes
from assay.serving.dialects.llamafactory import llamafactory_routes
from assay.serving.dialects.openrlhf import openrlhf_routes
from assay.serving.dialects.rerank import rerank_routes
from assay.serving.dialects.slime import slime_routes
from assay.serving.dialects.unirl import unirl_routes
from assay.serving.dialects.vllm import vllm_routes
from assay.serving.guard import Guard
from assay.serving.native import native_routes, running_routes
from assay.serving.policy import MediaPolicy
from assay.serving.problems import ServiceError
from assay.serving.replies import Json, problem, problem_of
from assay.serving.service import Service
from assay.serving.templated import Untemplate

_LOG = logging.getLogger("assay.serving")
_DRAIN_SECONDS = 30.0
_SHOWN = 5
_CODES = {400: "bad_json", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}
_BLOBS = ("/api/reward/enqueue", "/flow_grpo", "/")
_CHANGES = ("promote", "rollback")
_DESCRIPTION = (
    "One server for reward models: the native protocol under /v1/scores, and the dialects of vLLM, Cohere and Jina, "
    "OpenRLHF, slime, UniRL, LLaMA-Factory, cosmos-rl and OpenAI. In the native protocol values are as the reward "
    "gives them; in every dialect more is better, so a reward of which lower is better is negated there."
)


def create_app(
    service: Service,
    *,
    policy: MediaPolicy | None = None,
    tokens: Sequence[str] = (),
    pickle: bool = False,
    upstream: Upstream | None = None,
    form: Untemplate | None = None,
    drain_seconds: float = _DRAIN_SECONDS,
    started: Callable[[BaseException | None], None] | None = None,
    alone: bool = True,
) -> FastAPI:
    """The ASGI application of a service. It starts the service, and drains it when it stops.

    With ``tokens`` every request but those of health brings one; without, versions cannot be changed. ``pickle`` opens
    flow_grpo's route. ``upstream`` is the model of ``/v1/chat/completions``. ``form`` reads the texts of clients
    that send a templated conversation as one string. ``started`` is called when the rewards are loaded, or with what
    loading raised. One of several processes, which is not ``alone``, changes no versions: the others would not know.
    """
    policy = policy or MediaPolicy()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        starting = asyncio.create_task(_started(service, app, started))
        yield
        if not starting.done():
            starting.cancel()
            with suppress(asyncio.CancelledError):
                await starting
        await service.drain(drain_seconds)

    app = FastAPI(
        title="Assay",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    app.state.failed = None
    app.include_router(running_routes(service, lambda: app.state.failed))
    for router in _routers(service, policy, pickle, upstream, form):
        app.include_router(router)
    _add_errors(app)
    if not alone:
        _close_versions(app, "several processes serve here: change versions by starting the server anew")
    elif not tokens:
        _close_versions(app, "start the server with a token to change versions")
    _add_schema(app, service, bool(tokens))
    _add_limits(app, policy, tokens)
    return app


def _routers(
    service: Service, policy: MediaPolicy, pickle: bool, upstream: Upstream | None, form: Untemplate | None
) -> list[APIRouter]:
    return [
        native_routes(service, policy),
        vllm_routes(service, policy, form),
        rerank_routes(service, policy),
        openrlhf_routes(service, form),
        slime_routes(service, policy, form),
        unirl_routes(service),
        llamafactory_routes(service, form),
        cosmos_routes(service, policy),
        chat_routes(service, policy, upstream),
        *([flow_grpo_routes(service, policy)] if pickle else []),
    ]


async def _started(service: Service, app: FastAPI, told: Callable[[BaseException | None], None] | None) -> None:
    try:
        await service.start()
    except Exception as error:  # noqa: BLE001 - whatever a reward's loading raises is for ``told`` to say
        app.state.failed = error
        if told is None:
            _LOG.error("a reward could not be loaded: %s", error)
    if told is not None:
        told(app.state.failed)


def _add_errors(app: FastAPI) -> None:
    async def refused(_: Request, error: Exception) -> Json:
        return problem_of(cast("ServiceError", error))

    async def misshapen(request: Request, error: Exception) -> Json:
        given = cast("RequestValidationError", error)
        if isinstance(given.body, bytes) and given.body:  # JSON that says that it is JSON is read before
            return problem("unsupported_media_type", "send JSON, with Content-Type: application/json", 415)
        found = given.errors()
        told = "; ".join(f"{_place(each['loc'])}: {each['msg']}" for each in found[:_SHOWN])
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        return problem("invalid_request", told + more, 400 if request.url.path.endswith("/chat/completions") else 422)

    async def elsewhere(_: Request, error: Exception) -> Json:
        raised = cast("HTTPException", error)
        said = str(raised.detail)
        if raised.status_code == 400 and raised.__cause__ is not None:
            said = f"the body is no JSON in UTF-8 ({str(raised.__cause__)[:200]})"
        reply = problem(_CODES.get(raised.status_code, "refused"), said, raised.status_code)
        reply.headers.update(raised.headers or {})
        return reply

    async def broken(request: Request, error: Exception) -> Json:
        _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return problem("internal", "the server failed at this request; its log says why", 500)

    app.add_exception_handler(ServiceError, refused)
    app.add_exception_handler(RequestValidationError, misshapen)
    app.add_exception_handler(HTTPException, elsewhere)
    app.add_exception_handler(Exception, broken)


def _close_versions(app: FastAPI, why: str) -> None:
    """The routes that change what is served answer 403."""
    from fastapi.routing import APIRoute

    async def closed(name: str) -> Json:
        del name
        return problem("forbidden", why, 403)

    for action in _CHANGES:
        route = APIRoute(f"/v1/rewards/{{name:path}}/{action}", closed, methods=["POST"], include_in_schema=False)
        app.router.routes.insert(0, route)


def _place(location: Sequence[Any]) -> str:
    return ".".join(str(step) for step in location if step != "body")[:120] or "body"


def _add_schema(app: FastAPI, service: Service, has_tokens: bool) -> None:
    def schema() -> dict[str, Any]:
        served = service.served()
        if app.openapi_schema is not None:
            return app.openapi_schema
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        if has_tokens:
            schemes = {"token": {"type": "http", "scheme": "bearer"}}
            made.setdefault("components", {})["securitySchemes"] = schemes
            made["security"] = [{"token": []}]
        if served:  # examples name a reward that is there
            made = json.loads(json.dumps(made).replace('"REWARD"', json.dumps(served[0].name)))
            app.openapi_schema = made
        return made

    app.openapi = schema


def _add_limits(app: FastAPI, policy: MediaPolicy, tokens: Sequence[str]) -> None:
    from assay.serving.body import BodyLimit

    app.add_middleware(BodyLimit, policy=policy, streams=("/v1/scores/stream",), blobs=_BLOBS)
    app.add_middleware(Guard, tokens=tokens)
