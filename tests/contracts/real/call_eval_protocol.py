"""eval-protocol's rows, and its own decorator around a test whose body is the adapter."""

import json
import sys
from pathlib import Path

from data import ANSWERS, QUESTIONS, RESPONSES
from eval_protocol.models import EvaluationRow, InputMetadata, Message

sys.path.insert(0, str(Path(__file__).parent))
from assay.adapters.eval_protocol import evaluated, evaluated_all
from rewards import brightness, right


def row(place):
    turns = [Message(role="user", content=QUESTIONS[place]), Message(role="assistant", content=RESPONSES[place])]
    return EvaluationRow(messages=turns, ground_truth=ANSWERS[place], input_metadata=InputMetadata(row_id=str(place)))


rows = evaluated_all(right(), [row(place) for place in range(4)])
blind = evaluated(brightness(), row(0))
again = EvaluationRow.model_validate_json(blind.model_dump_json())
print(
    json.dumps(
        {
            "scores": [one.evaluation_result.score for one in rows],
            "valid": [one.evaluation_result.is_score_valid for one in rows],
            "blind": [again.evaluation_result.is_score_valid, again.evaluation_result.error],
            "metrics": sorted(again.evaluation_result.metrics),
        }
    )
)
