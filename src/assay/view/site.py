"""What every page has in common: templates, style, headers that keep foreign text from acting, who may ask."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from assay import __version__
from assay.benchmarks.report.page import number, palette, percent, signs

if TYPE_CHECKING:
    import jinja2

LOOPBACK = ("127.0.0.1", "localhost")
POLICY = (
    "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'self'; script-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_STATIC = {"view.css": "text/css", "view.js": "text/javascript", "icon.svg": "image/svg+xml"}


def site(title: str, hosts: Sequence[str] = LOOPBACK) -> FastAPI:
    """An application without pages: styles and scripts from the package, a page for each error, and the rules.

    Requests must name one of ``hosts`` (``*``: any), so that no other site can reach a page on the loopback address by
    a name of its own. What changes anything is taken from this site's own pages alone.
    """
    app = FastAPI(title=title, version=__version__, docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def guard(  # pyright: ignore[reportUnusedFunction]  the decorator takes it
        request: Request, answer: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        if request.method not in ("GET", "HEAD") and not _is_own(request):
            return HTMLResponse("this request came from another site", 403, headers=_HEADERS)
        response = await answer(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.exception_handler(StarletteHTTPException)
    async def explain(  # pyright: ignore[reportUnusedFunction]  the same
        request: Request, error: StarletteHTTPException
    ) -> Response:
        page = render("error.html.j2", title=title, code=error.status_code, message=error.detail)
        return HTMLResponse(page, error.status_code, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def refuse(  # pyright: ignore[reportUnusedFunction]  the same
        request: Request, error: RequestValidationError
    ) -> Response:
        wrong = ", ".join(f"{each['loc'][-1]}: {each['msg']}" for each in error.errors())
        return HTMLResponse(render("error.html.j2", title=title, code=422, message=wrong), 422)

    @app.get("/static/{name}")
    def static(name: str) -> Response:  # pyright: ignore[reportUnusedFunction]  the same
        if name not in _STATIC:
            raise HTTPException(404, "no such file")
        return Response(_static(name), media_type=_STATIC[name], headers={"cache-control": "no-cache"})

    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    return app


def render(template: str, /, **values: Any) -> str:
    """A page of the package's templates; text is escaped, and a name that is missing is an error. What is no valid
    Unicode becomes a question mark."""
    page = _environment().get_template(template).render(link=link, **values)
    return page.encode("utf-8", "replace").decode()


def link(path: str, **values: object) -> str:
    """An address with the values that are given and not empty."""
    given = {name: value for name, value in values.items() if value not in (None, "", 0)}
    return f"{path}?{urlencode(given)}" if given else path


def figure(value: float | None) -> str:
    """A number for a reader; a dash for none."""
    return number(math.nan if value is None else float(value))


def _is_own(request: Request) -> bool:
    origin = request.headers.get("origin")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


@cache
def _static(name: str) -> str:
    text = files("assay.view").joinpath("static", name).read_text(encoding="utf-8")
    return palette() + text if name.endswith(".css") else text


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("assay.view"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(figure=figure, percent=percent, signs=signs, as_json=_as_json, count=_count)
    return environment


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str)


def _count(value: int) -> str:
    return f"{value:,}"
