"""A row of each public set, in the layout that it was published in."""

from __future__ import annotations

from typing import Any

from record_strategies import png

USER = {"role": "user", "content": "2+2?"}
GOOD = {"role": "assistant", "content": "4"}
BAD = {"role": "assistant", "content": "5"}
VIDEO_RATINGS = (
    "visual quality",
    "temporal consistency",
    "dynamic degree",
    "text-to-video alignment",
    "factual consistency",
)
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
    ("ultrafeedback", {"source": "evol", "instruction": "2+2?", "models": ["a"], "correct_answers": ["None"],
                       "completions": [{"model": "a", "response": "4", "overall_score": 8.5, "critique": "good",
                                        "annotations": {"honesty": {"Rating": "N/A", "Rationale": "none"}}}]}),
    ("ultrafeedback-binarized", {"prompt": "2+2?", "prompt_id": "p", "chosen": [USER, GOOD], "rejected": [USER, BAD],
                                 "messages": [USER, GOOD], "score_chosen": 8.0, "score_rejected": 3.5}),
    ("hpdv2", {"prompt": "a cat", "file_path": ["a.jpg", "b.jpg"], "human_preference": [0, 1]}),
    ("hpdv2", {"prompt": "a cat", "image_path": ["a.jpg", "b.jpg"], "rank": [1.5, 1.2],
               "raw_annotations": [{"rank": [1, 2], "user_hash": "h"}]}),
    ("hpdv3", {"prompt": "a cat", "path1": "a.jpg", "path2": "b.jpg", "confidence": 0.9, "choice_dist": [12, 1],
               "model1": "m", "model2": "n"}),
    ("imagerewarddb", {"image_path": "a.webp", "prompt_id": "000864-0061", "prompt": "a cat", "rank": 5,
                       "classification": "People", "image_amount_in_total": 9, "overall_rating": 4,
                       "image_text_alignment_rating": 3, "fidelity_rating": 4}),
    ("rlaif-v", {"ds_name": "d", "image": {"bytes": png(1), "path": None}, "question": "what?", "chosen": "4",
                 "rejected": "5", "origin_dataset": "o", "idx": 3, "image_path": "x.jpg"}),
    ("rlaif-v", {"image": "a.png", "question": "<image>\nwhat?", "chosen": "4", "rejected": "5", "image_wh": [[1, 2]]}),
    ("trl", {"prompt": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what?"}]}],
             "images": [{"bytes": png(1), "path": None}], "chosen": [GOOD], "rejected": [BAD]}),
    ("mm-rlhf", {"prompt": "what?", "chosen": "4", "rejected": "5", "image": "mcq/1.png", "rejected_reason": "no"}),
    ("mm-rlhf", {"prompt": "what?", "chosen": "4", "rejected": "5", "video": "short/1.mp4", "chosen_reason": "right"}),
    ("videofeedback", {"id": "v", "images": ["v_00.jpg", "v_01.jpg"], "text prompt": "a cat", "video link": "l",
                       **dict.fromkeys(VIDEO_RATINGS, 3), "conversations": [{"from": "gpt", "value": "3"}]}),
    ("audio-alpaca", {"prompt": "a bark", "chosen": {"bytes": b"RIFF", "path": None}, "strategy": "events",
                      "rejected": {"bytes": b"RIFX", "path": None}}),
    ("rapidata", {"prompt": "a cat", "video1": "a.mp4", "video2": "b.mp4", "weighted_results1_Coherence": 0.3,
                  "weighted_results2_Coherence": 0.7, "model1": "m", "model2": "n"}),
    ("prm800k", {"labeler": "u", "timestamp": "t", "generation": 9, "is_quality_control_question": False,
                 "question": {"problem": "2+2?", "ground_truth_answer": "4"},
                 "label": {"finish_reason": "solution", "total_time": 1, "steps": [
                     {"completions": [{"text": "4", "rating": 1, "flagged": None}], "human_completion": None,
                      "chosen_completion": 0}]}}),
    ("math-shepherd", {"input": "2+2? Step 1: add \u043a\u0438\nStep 2: 4 \u043a\u0438",
                       "label": "2+2? Step 1: add +\nStep 2: 4 -", "task": "GSM8K"}),
    ("visualprm", {"image": "a.png", "question": "<image>\nwhat?", "answer": "4", "response": "one\n\ntwo",
                   "steps_with_score": [{"step": "one", "score": 0.5, "num_mc_sequences": 16},
                                        {"step": "two", "score": 0.0, "num_mc_sequences": 16}]}),
    ("visualprm", {"id": -1, "image": "a.png", "conversations": [
        {"from": "system", "value": "judge"}, {"from": "gpt", "value": "+"},
        {"from": "human", "value": "### Question:\n<image>\nwhat?\n\n### Solution Process:\none"}]}),
    ("vilreward", {"image": "a.png", "question": "what?", "process": ["one", "two"], "value": 0.25}),
    ("qa-feedback", {"question": "who?", "passages": [["Title", "One.", "Two."]], "gold": "him", "prediction 1": "a",
                     "prediction 2": "b", "prediction 3": "c", "prediction 4": "d", "preference": [0, 1, 2, 1, 0, 2],
                     "feedback": {"errors": [], "missing-info": [], "corrected-prediction": "a"}}),
    ("tara", {"id": "t", "domain": "calendar", "split": "test", "prompt": "what day?", "chosen": "Tuesday",
              "rejected": "Sunday", "chosen_score": 1.0, "rejected_score": -1.0, "chosen_trace": {},
              "rejected_trace": {"actions": "Thought: t\nAction: day\nAction Input: i\nObservation: o"}}),
    ("mqm", {"system": "A", "doc": "d", "doc_id": "1", "seg_id": "84", "rater": "r", "source": "s",
             "target": "a <v>b</v>", "category": "Style/Awkward", "severity": "Major"}),
]  # fmt: skip
