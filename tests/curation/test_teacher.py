from __future__ import annotations

from collections.abc import Sequence

from assay.curation.teacher import rated_by
from assay.records import Preference, Rating, Record
from assay.rewards.base import scores_of
from assay.scores import Scores, Status
from assay.training.feedback import of_criterion, pairs_of, ratings_of


def by_length(records: Sequence[Record]) -> Scores:
    texts = [response.text for record in records for response in record.responses]
    status = [Status.EMPTY if not text else Status.OK for text in texts]
    return scores_of(records, [float(len(text)) if text else float("nan") for text in texts], status)


def test_every_judged_response_is_rated_beside_what_people_said() -> None:
    records = [
        Record.of("a", ["one", "three"], feedback=[Preference(0, 1)]),
        Record.of("b", ["", "four"]),
        Record.of("c", ["seven"]),
    ]
    for batch in (1, 64):
        found = rated_by(by_length, records, batch=batch)
        assert [record.id for record in found] == [record.id for record in records]
        assert found[0].feedback[0] == Preference(0, 1)
        assert [item for record in found for item in record.feedback if isinstance(item, Rating)] == [
            Rating(0, 3.0, rater="by_length", criterion="teacher"),
            Rating(1, 5.0, rater="by_length", criterion="teacher"),
            Rating(1, 4.0, rater="by_length", criterion="teacher"),
            Rating(0, 5.0, rater="by_length", criterion="teacher"),
        ]
    assert ratings_of(found, select=of_criterion("teacher")).targets.tolist() == [3.0, 5.0, 4.0, 5.0]
    assert pairs_of(found[:1]).better.tolist() == [0]
