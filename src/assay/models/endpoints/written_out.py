"""An endpoint as it is written on a command line: ``MODEL@URL?option=value&...``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from assay.models.endpoints.budget import Budget, Prices, Purse
from assay.models.endpoints.endpoint import Endpoint
from assay.models.endpoints.replay import Replay

_FORM = re.compile(r"(?P<model>[^?]+?)@(?P<url>https?://[^?\s]+)(?:\?(?P<options>.*))?", re.DOTALL)
OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "key": str,
    "replay": str,
    "at_once": int,
    "max_tokens": int,
    "temperature": float,
    "tokens": int,
    "money": float,
    "price_read": float,
    "price_written": float,
}
"""``key`` (the environment variable that holds it), ``replay`` (a directory of replies), ``at_once`` (calls under way),
``max_tokens`` and ``temperature`` of an answer, and a budget: ``tokens``, or ``money`` with ``price_read`` and
``price_written`` a million tokens."""


class EndpointReferenceError(ValueError):
    """A reference that names no endpoint; the message says what can be written."""


def is_endpoint(reference: str) -> bool:
    """Whether it reads ``MODEL@URL``."""
    return _FORM.fullmatch(reference) is not None


def endpoint_from(reference: str, **otherwise: Any) -> Endpoint:
    """The endpoint that ``MODEL@URL?option=value`` names, with `OPTIONS`; ``otherwise`` where it does not say.

    Raises:
        EndpointReferenceError: no such form or option.
        ValueError: see `Endpoint`.
    """
    found = _FORM.fullmatch(reference)
    if found is None:
        raise EndpointReferenceError(f"{reference!r} does not read MODEL@URL?option=value")
    given = dict(otherwise)
    for name, text in parse_qsl(found["options"] or "", keep_blank_values=True):
        if name not in OPTIONS:
            raise EndpointReferenceError(f"an endpoint has no option {name!r}; there are {', '.join(OPTIONS)}")
        try:
            given[name] = OPTIONS[name](text)
        except ValueError as error:
            raise EndpointReferenceError(f"option {name}={text} of an endpoint is no number") from error
    return endpoint_of(found["model"], found["url"], given)


def endpoint_of(model: str, url: str, given: Mapping[str, Any]) -> Endpoint:
    """The model behind an address with what is given of `OPTIONS`; None is as good as not given."""
    said = {name: value for name, value in given.items() if value is not None and name in OPTIONS}
    read, written = said.get("price_read"), said.get("price_written")
    prices = Prices(read, written) if read is not None and written is not None else None
    own = {name: said[name] for name in ("key", "at_once", "max_tokens", "temperature") if name in said}
    purse = Purse(Budget(said.get("money"), said.get("tokens")), prices)
    return Endpoint(url, model, **own, purse=purse, replay=Replay(Path(said["replay"])) if said.get("replay") else None)
