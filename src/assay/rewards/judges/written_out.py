"""A judge as it is written on a command line: ``judge:MODEL@URL?option=value&...``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl

from assay.models.endpoints.written_out import OPTIONS, endpoint_of
from assay.rewards.base import Reward
from assay.rewards.judges.aspects import ANSWERS, PICTURES, aspects
from assay.rewards.judges.listwise import listwise
from assay.rewards.judges.odds import by_odds
from assay.rewards.judges.pairwise import pairwise
from assay.rewards.judges.pointwise import pointwise
from assay.rewards.judges.reference import reference_guided
from assay.rewards.judges.rubric import own_rubric
from assay.rewards.judges.verdicts import Way, points
from assay.rewards.judges.votes import by_votes
from assay.rewards.schedules import swiss
from assay.rewards.tournament import tournament

if TYPE_CHECKING:
    import torch

    from assay.models.answering import LocalModel

_FORM = re.compile(r"judge:(?P<model>[^?]+?)(?:@(?P<url>https?://[^?\s]+))?(?:\?(?P<options>.*))?", re.DOTALL)
_OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "ask": str,
    "by": str,
    "column": str,
    "criterion": str,
    "k": int,
    "high": int,
    "seed": int,
    "rounds": int,
    "orders": int,
    "together": int,
    "schema": int,
    **OPTIONS,
}
_LONGEST = 512
_TOGETHER = ("rubric", "answers", "pictures")

Options: TypeAlias = Mapping[str, Any]


class JudgeReferenceError(ValueError):
    """A ``judge:...`` that says nothing that can be asked; the message says what can."""


def _pointwise(way: Way, given: Options) -> Reward:
    return pointwise(way, scale=points(1, given["high"]), criterion=given["criterion"], seed=given["seed"])


def _correctness(way: Way, given: Options) -> Reward:
    return reference_guided(way, given["column"] or "reference", seed=given["seed"])


def _rubric(way: Way, given: Options) -> Reward:
    return own_rubric(way, given["column"] or "rubric", seed=given["seed"], together=bool(given["together"]))


def _answers(way: Way, given: Options) -> Reward:
    return aspects(way, ANSWERS, seed=given["seed"], together=bool(given["together"]))


def _pictures(way: Way, given: Options) -> Reward:
    return aspects(way, PICTURES, seed=given["seed"], together=bool(given["together"]))


def _pairwise(way: Way, given: Options) -> Reward:
    comparer = pairwise(way, criterion=given["criterion"], seed=given["seed"])
    return tournament(comparer, swiss(given["rounds"]), seed=given["seed"])


ASKS: Mapping[str, Callable[[Way, Options], Reward]] = {
    "pointwise": _pointwise,
    "correctness": _correctness,
    "rubric": _rubric,
    "answers": _answers,
    "pictures": _pictures,
    "pairwise": _pairwise,
}
"""What ``ask=`` may say beside ``listwise``."""


def from_reference(text: str, *, device: str | torch.device = "auto", dtype: str | torch.dtype = "auto") -> Reward:
    """The judge that ``judge:MODEL@URL?option=value`` names: a model behind an OpenAI-compatible address, or, without
    ``@URL``, a language model's directory or hub id, run in this process.

    Options: ``ask`` (``pointwise``, ``correctness``, ``rubric``, ``answers``, ``pictures``, ``pairwise``,
    ``listwise``); ``by`` (``odds`` of labels, or written ``votes``: the default where an endpoint gives no
    log-probabilities, which is found out by one call); ``k`` votes; ``high``, the best grade; ``column`` of the
    reference or rubric; ``criterion``; ``rounds`` of the pairwise tournament; ``orders`` of a listwise judge; ``seed``;
    ``max_tokens``; ``temperature`` (0 for one vote, else 1); ``together=1``, all criteria of a rubric or aspects in one
    call, by votes, with ``schema=1`` as a JSON object that an endpoint holds to its schema. For endpoints also ``key``
    (the environment variable that holds it), ``at_once``, ``replay`` (a directory of replies), and a budget:
    ``tokens``, or ``money`` with ``price_read`` and ``price_written`` a million tokens.

    Raises:
        JudgeReferenceError: no such form or option.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise JudgeReferenceError(f"{text!r} does not read judge:MODEL@URL?option=value, or judge:DIRECTORY")
    given = _options(found["options"] or "")
    name, url = found["model"], found["url"]
    model = _local(name, given, device, dtype) if url is None else endpoint_of(name, url, given)
    if given["ask"] == "listwise":
        return listwise(model, orders=given["orders"], seed=given["seed"])
    return ASKS[given["ask"]](_way(model, given), given)


def _options(text: str) -> dict[str, Any]:
    given: dict[str, Any] = {**dict.fromkeys(OPTIONS), "max_tokens": _LONGEST, "at_once": 8}
    given |= {"ask": "pointwise", "by": "", "column": "", "criterion": ""}
    given |= {"k": 1, "high": 5, "seed": 0, "rounds": 4, "orders": 2, "together": 0, "schema": 0}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name not in given:
            raise JudgeReferenceError(f"a judge has no option {name!r}; there are {', '.join(_OPTIONS)}")
        try:
            given[name] = _OPTIONS[name](value)
        except ValueError as error:
            raise JudgeReferenceError(f"option {name}={value} of a judge is no number") from error
    if given["ask"] not in (*ASKS, "listwise"):
        raise JudgeReferenceError(f"a judge can be asked {', '.join((*ASKS, 'listwise'))}, not {given['ask']!r}")
    if given["by"] not in ("", "odds", "votes"):
        raise JudgeReferenceError(f"a judge answers by odds or by votes, not by {given['by']!r}")
    if given["together"] and (given["by"] == "odds" or given["ask"] not in _TOGETHER):
        raise JudgeReferenceError(f"together=1 is for ask={', '.join(_TOGETHER)}, by votes: odds are of one criterion")
    if given["temperature"] is None:
        given["temperature"] = 0.0 if given["k"] == 1 else 1.0
    return given


def _local(name: str, given: Options, device: str | torch.device, dtype: str | torch.dtype) -> LocalModel:
    from assay.models.answering import LocalModel
    from assay.models.generate import load_generator

    limits = {"max_new_tokens": given["max_tokens"], "temperature": given["temperature"]}
    return LocalModel(load_generator(name, device=device, dtype=dtype, **limits))


def _way(model: Any, given: Options) -> Way:
    if given["by"] == "votes" or given["together"] or (not given["by"] and _is_silent(model)):
        return by_votes(model, given["k"], seed=given["seed"], schema=bool(given["schema"]))
    return by_odds(model)


def _is_silent(model: Any) -> bool:
    """Whether an endpoint says that it gives no log-probabilities. One that cannot be asked now is taken to give some:
    its rows will say what is wrong with it."""
    offers = getattr(model, "offers", None)
    return offers is not None and offers().logprobs is False
