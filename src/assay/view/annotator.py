"""`assay annotate`: people judge, each under a name, blind to which response is which."""

from __future__ import annotations

import math
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, final
from urllib.parse import parse_qsl, quote, unquote

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.background import BackgroundTask

from assay.records import FormatError, Record, Written, write
from assay.records.formats import formats
from assay.records.steps import Split, split_steps
from assay.view.choosing import Choice
from assay.view.judged import Agreement, agreements, judged_records
from assay.view.judgements import Judgements, Shown
from assay.view.media import media_of, send
from assay.view.shelf import Shelf
from assay.view.shown import by_step, places, response_turns, turns_of
from assay.view.site import LOOPBACK, link, render, site
from assay.view.tasks import MARKS, SCALE, Answer, AnswerError, Question, Task

_COOKIE = "assay-rater"
_LONGEST_NAME = 60
_LONGEST_FORM = 1 << 20


@final
@dataclass
class Annotation:
    """What is being judged: records, a task, its questions in their order, and what was said so far."""

    title: str
    shelf: Shelf
    task: Task
    choice: Choice
    judgements: Judgements
    split: Split | None = None
    asking: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _agreed: tuple[int, list[Agreement]] = field(default=(-1, []), repr=False)

    @cached_property
    def questions(self) -> dict[str, Question]:
        """Every question by its key."""
        return {question.key: question for question in self.choice.questions}

    def record(self, number: int) -> Record | None:
        """A record of the shelf, its steps marked where these are asked about."""
        found = self.shelf.at(number)
        return found if found is None or self.split is None else split_steps(found, self.split)

    def agreed(self) -> list[Agreement]:
        """How far the raters agree by now."""
        version = self.judgements.version
        if self._agreed[0] != version:
            self._agreed = version, agreements(self.judgements, self.task, self.questions)
        return self._agreed[1]

    def export(self, path: Path, to: str) -> Written:
        """Write the judged records in a format; what it cannot hold is left out and said. Raises as
        `assay.records.write`."""
        found = judged_records(self.record, self.judgements, self.task, self.questions)
        return write(found, path, format=to, on_error="collect")


async def _form(request: Request) -> dict[str, str]:
    """The fields of an address-encoded form.

    Raises:
        HTTPException: 413 where it is too long.
    """
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _LONGEST_FORM:
            raise HTTPException(413, "this form is too long")
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def create_annotator(annotation: Annotation, hosts: Sequence[str] = LOOPBACK) -> FastAPI:
    """The application of `assay annotate`."""
    app = site("assay annotate", hosts)
    judgements = annotation.judgements

    @app.get("/", response_class=HTMLResponse)
    def ask(request: Request, shown: int | None = None) -> Response:  # pyright: ignore[reportUnusedFunction]
        rater = _rater(request)
        if rater is None:
            return _page(annotation, "enter.html.j2", wrong="")
        chosen = None if shown is None else _shown(judgements, shown, rater)
        if chosen is None or rater in judgements.standing.get(chosen.question, {}):
            with annotation.asking, _keeping():
                question = annotation.choice.next(rater, judgements.standing, judgements.held(rater))
                chosen = None if question is None else judgements.show(rater, question.key, question.responses)
            if chosen is None:
                return _page(annotation, "done.html.j2", rater=rater)
        else:
            judgements.hold(rater, chosen.question)
        return _question_page(annotation, chosen)

    @app.post("/enter")
    def enter(form: dict[str, str] = Depends(_form)) -> Response:  # pyright: ignore[reportUnusedFunction] # noqa: B008
        name = " ".join(form.get("name", "").split())
        if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable():
            return _page(annotation, "enter.html.j2", 400, wrong=f"Give a name of 1 to {_LONGEST_NAME} characters.")
        response = RedirectResponse("/", 303)
        response.set_cookie(_COOKIE, quote(name), max_age=31_536_000, httponly=True, samesite="strict")
        return response

    @app.post("/leave")
    def leave(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        if (rater := _rater(request)) is not None:
            judgements.hold(rater, None)
        response = RedirectResponse("/", 303)
        response.delete_cookie(_COOKIE, httponly=True, samesite="strict")
        return response

    @app.post("/judge")
    def judge(  # pyright: ignore[reportUnusedFunction]
        request: Request,
        form: dict[str, str] = Depends(_form),  # noqa: B008
    ) -> Response:
        shown = _posted(judgements, request, form)
        question = annotation.questions.get(shown.question)
        if question is None:
            raise HTTPException(404, "there is no such question in these data")
        try:
            answer: Answer = {"skip": True} if "skip" in form else annotation.task.read(form, question, shown.sides)
        except AnswerError as error:
            return _question_page(annotation, shown, 400, str(error), form)
        with _keeping():
            judgements.judge(shown, answer)
        return RedirectResponse("/", 303)

    @app.post("/undo")
    def undo(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        rater = _rater(request)
        with _keeping():
            back = None if rater is None else judgements.undo(rater)
        return RedirectResponse(link("/", shown=None if back is None else back.id), 303)

    @app.get("/progress", response_class=HTMLResponse)
    def progress(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        return _page(annotation, "progress.html.j2", rater=_rater(request), formats=_formats())

    @app.get("/export")
    def export(to: str = "native") -> Response:  # pyright: ignore[reportUnusedFunction]
        folder = tempfile.TemporaryDirectory()
        path = Path(folder.name) / ("judged.jsonl" if to == "native" else f"judged.{to}.parquet")
        try:
            written = annotation.export(path, to)
        except FormatError as error:
            folder.cleanup()
            raise HTTPException(422, str(error)) from error
        if written.problems and not written.rows:
            folder.cleanup()
            raise HTTPException(422, f"these judgements cannot be written as {to}: {written.problems[0]}")
        return FileResponse(path, filename=path.name, background=BackgroundTask(folder.cleanup))

    @app.get("/media/{shown}/{side}/{place}")
    @app.get("/media/{shown}/{side}/{place}/{frame}")
    def media(  # pyright: ignore[reportUnusedFunction]
        request: Request, shown: int, side: str, place: int, frame: int | None = None
    ) -> Response:
        part = _part(annotation, shown, side, place)
        if part is None or (frame is not None and frame < 0):
            raise HTTPException(404, "there is no such medium")
        try:
            return send(part, request, frame)
        except HTTPException as error:
            if error.status_code == 404:  # its words name the file, which may name who wrote the response
                raise HTTPException(404, "this medium cannot be read") from error
            raise

    return app


@contextmanager
def _keeping() -> Generator[None, None, None]:
    """Turn a disk that takes nothing more into a page that says so; what was kept before is safe.

    Raises:
        HTTPException: 507.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise HTTPException(507, f"this was not kept ({error}): free space, go back, and send it again") from error


def _rater(request: Request) -> str | None:
    name = unquote(request.cookies.get(_COOKIE, ""))
    return name if 1 <= len(name) <= _LONGEST_NAME and name.isprintable() else None


def _shown(judgements: Judgements, number: int, rater: str) -> Shown | None:
    found = judgements.shown(number)
    return found if found is not None and found.rater == rater else None


def _posted(judgements: Judgements, request: Request, form: Mapping[str, str]) -> Shown:
    """What a form answers: a question that was shown to the rater who sends it.

    Raises:
        HTTPException: 403 where it was not, 422 where the form does not say.
    """
    rater, text = _rater(request), form.get("shown", "")
    if not (text.isascii() and text.isdigit()):
        raise HTTPException(422, "the form does not say which question it answers")
    found = None if rater is None else _shown(judgements, int(text[:15]), rater)
    if found is None:
        raise HTTPException(403, "this question was shown to somebody else; go back to the start")
    return found


def _part(annotation: Annotation, number: int, side: str, place: int) -> Any:
    """A part of the prompt (``side`` is ``prompt``) or of the response on a side, counted from 0 there."""
    shown = annotation.judgements.shown(number)
    question = None if shown is None else annotation.questions.get(shown.question)
    record = None if question is None else annotation.record(question.record)
    if shown is None or record is None:
        return None
    starts, parts = places(record), media_of(record)
    if side == "prompt":
        low, high = starts[0], starts[1]
    elif side.isascii() and side.isdigit() and int(side[:6]) < len(shown.sides):
        response = shown.sides[int(side[:6])]
        low, high = starts[response + 1], starts[response + 2]
    else:
        return None
    return parts[low + place] if 0 <= place < high - low else None


def _page(annotation: Annotation, name: str, status: int = 200, **values: Any) -> HTMLResponse:
    counts = annotation.judgements.counts()
    page = render(
        name,
        title=annotation.title,
        task=annotation.task,
        counts=counts,
        total=len(annotation.choice.questions),
        agreed=[(each, not math.isnan(each.alpha)) for each in annotation.agreed()],
        **values,
    )
    return HTMLResponse(page, status, headers={"cache-control": "no-store"})


def _question_page(
    annotation: Annotation, shown: Shown, status: int = 200, wrong: str = "", form: Mapping[str, str] | None = None
) -> HTMLResponse:
    question = annotation.questions[shown.question]
    record = annotation.record(question.record)
    assert record is not None

    def address(side: str) -> Callable[[int, int | None], str]:
        def of(place: int, frame: int | None) -> str:
            return f"/media/{shown.id}/{side}/{place}" + ("" if frame is None else f"/{frame}")

        return of

    sides = [response_turns(record.responses[each], address(str(side)), 0) for side, each in enumerate(shown.sides)]
    return _page(
        annotation,
        "question.html.j2",
        status,
        rater=shown.rater,
        shown=shown,
        question=question,
        prompt=turns_of(record.prompt, address("prompt"), 0),
        sides=sides,
        scale=range(1, SCALE + 1),
        steps=by_step(sides[0]) if question.steps else [],
        marks=list(MARKS),
        wrong=wrong,
        form=form or {},
    )


def _formats() -> list[str]:
    return [each.name for each in formats() if each.writer is not None]
