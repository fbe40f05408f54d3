"""Who may ask: bearer tokens, compared in constant time before anything of a request's body is read."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Sequence
from typing import final

from starlette.types import ASGIApp, Receive, Scope, Send

from assay.serving.replies import problem

_OPEN = ("/health", "/ready")


@final
class Guard:
    """Lets a request through that brings one of the tokens; without tokens, every one.

    A token comes as ``Authorization: Bearer TOKEN``, or as the password of a URL (``http://:TOKEN@host/``, which every
    HTTP client sends as Basic), for trainers that take an address and no header. ``/health`` and ``/ready`` are open.
    """

    def __init__(self, app: ASGIApp, tokens: Sequence[str]) -> None:
        self._app = app
        self._tokens = tuple(token.encode() for token in tokens)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._tokens or scope["path"] in _OPEN:
            await self._app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
        if len(given) == 1 and self._knows(_token(given[0])):
            await self._app(scope, receive, send)
            return
        why = "the token is not one of this server's" if given else "a token is needed: Authorization: Bearer TOKEN"
        refusal = problem("unauthorized", why, 401)
        refusal.headers["WWW-Authenticate"] = "Bearer"
        await refusal(scope, receive, send)

    def _knows(self, token: bytes) -> bool:
        found = False
        for known in self._tokens:
            found |= secrets.compare_digest(known, token)
        return found


def _token(header: bytes) -> bytes:
    scheme, _, credential = header.partition(b" ")
    credential = credential.strip()
    if scheme.lower() == b"bearer":
        return credential
    if scheme.lower() != b"basic":
        return b""
    try:
        user, _, password = base64.b64decode(credential, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return b""
    return password or user
