"""A row of each public set, in the layout that it was published in."""

from __future__ import annotations

from typing import Any

from record_strategies import png

HELPSTEER = {"helpfulness": 3, "correctness": 4, "coherence": 4, "complexity": 2, "verbosity": 1}

PUBLIC_ROWS: list[tuple[str, dict[str, Any]]] = [
    ("helpsteer", {"prompt": "2+2?", "response": "4", **HELPSTEER}),
    ("helpsteer2-preference", {"split": "train", "prompt": "2+2?", "response_1": "4", "response_2": "5",
                               "preference_strength": -2, "preference_statement": "1 is right",
                               "preference_elaboration": "it is"}),
    ("helpsteer3", {"domain": "stem", "language": "english", "context": [{"role": "user", "content": "2+2?"}],
                    "response1": "4", "response2": "5", "overall_preference": -2,
                    "individual_preference": [{"score": -2, "reasoning": "r", "feedback1": "a", "feedback2": "b"}]}),
    ("pick-a-pic", {"caption": "a cat", "jpg_0": png(1), "jpg_1": png(2), "image_0_uid": "u", "image_1_uid": "v",
                    "label_0": 1.0, "label_1": 0.0, "has_label": True, "are_different": True, "user_id": 7,
                    "ranking_id": 3}),
    ("prmbench", {"original_question": "2+2?", "modified_question": "2+2?", "original_process": ["It is", "4"],
                  "modified_process": ["It is", "5"], "modified_steps": [2], "error_steps": [2], "reason": "no",
                  "idx": "prm_0", "question": "2+2?", "classification": "circular"}),
    ("videoalign", {"path_A": "a.mp4", "path_B": "b.mp4", "prompt": "a cat", "VQ": "A", "MQ": "same", "TA": "B",
                    "fps_A": "24.0", "num_frames_A": "126.0"}),
    ("videoalign", {"path_A": "a.mp4", "path_B": "b.mp4", "prompt": "a cat", "Overall": "A"}),
    ("topical-chat", {"source": "hello\n\nhi there\n", "context": "a fact", "system_id": "Human",
                      "system_output": "yes", "scores": {"overall": 4.0}, "predict_scores": {"overall": 1.1}}),
    ("fsdd", {"digit": 7, "speaker": "george", "index": 10, "audio": {"bytes": b"RIFF", "path": None}}),
    ("mushra", {"signal": "s", "condition": "Reference", "file": "ref.wav", "ratings": [100.0], "participant_ids": [2],
                "mean_rating": 100.0}),
    ("nlvr", {"id": "dev-1-0-0", "identifier": "1-0", "directory": "2", "permutation": 0, "sentence": "a tower",
              "label": True, "image": {"bytes": png(1), "path": None}, "evals": '{"r1": "true", "r2": "false"}'}),
    ("mj-bench", {"caption": "a room", "image0": "0.jpg", "image1": "1.jpg", "label": 0}),
    ("mj-bench", {"caption": "a room", "image_0": "0.jpg", "image_1": "1.jpg", "label_0": 1}),
    ("fetv", {"prompt": "people", "section": "s", "subsection": "t", "model": "m", "video_index": 2, "SQ": 3.0,
              "TQ": 2.0, "video": "videos/m/2.gif", "frames": 8}),
    ("fetv", {"prompt": "people", "model": "m", "video_index": 2, "Alignment": 3.0, "video": "videos/m/2.gif"}),
]  # fmt: skip
