"""The two pages as applications over the gallery, and one of them on a port."""

import contextlib
import threading
import time

import uvicorn
from view_gallery import gallery

from assay.records.steps import lines
from assay.serving.processes import listener
from assay.view.annotator import Annotation, create_annotator
from assay.view.choosing import by_margin, choice
from assay.view.derived import add_derived
from assay.view.judgements import open_judgements
from assay.view.shelf import shelve
from assay.view.table import open_table
from assay.view.tasks import pairs
from assay.view.viewer import Viewed, create_view


def viewed_in(folder, suffix=".parquet", **more):
    data, scores, other = gallery(folder, suffix)
    cache = folder / "cache"
    table, against = open_table(scores, cache), open_table(other, cache)
    shelf = shelve(data, cache)
    add_derived(table, shelf=shelf, other=against)
    return Viewed(table, shelf, against, **more)


def annotation_in(folder, task=None, scores=True, **more):
    """What is judged, over the files of `gallery` where they are there."""
    data = folder / "data.jsonl"
    if not data.exists():
        gallery(folder)
    task, shelf = task or pairs(), shelve(data, folder / "cache")
    stepped = task.name == "steps"
    annotation = Annotation("data.jsonl", shelf, task, choice([]), None, lines if stepped else None)
    questions = [each for n in range(shelf.count) for each in task.questions(annotation.record(n), n)]
    table = open_table(folder / "scores.parquet", folder / "cache") if scores else None
    annotation.choice = choice(questions, table=table, names=shelf.names(), sure=by_margin, **more)
    annotation.judgements = open_judgements(folder / "rated.judgements", {"task": task.name, "data": shelf.digest})
    return annotation


@contextlib.contextmanager
def on_a_port(app):
    """The address of an application that runs in a thread."""
    bound = listener("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        bound.close()


def serve_until_killed(folder, sent):
    """The page in a process of its own; its address goes through a pipe."""
    annotation = annotation_in(folder, scores=False)
    with on_a_port(create_annotator(annotation)) as address:
        sent.send(address)
        time.sleep(60)


__all__ = ["annotation_in", "create_annotator", "create_view", "on_a_port", "serve_until_killed", "viewed_in"]
