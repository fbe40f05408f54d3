"""Records with everything a page can show, and scores of them by two rewards, as files."""

import io
import math
import struct
import wave
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import torch

from assay.media import Audio, Image, Video
from assay.records import Critique, Message, Preference, Rating, Record, Response, StepLabels, write
from assay.rewards.base import Spec
from assay.runs.score import score_file
from assay.scores import Scores, Status

PAPER, SKY, GRASS = "#f3efe6", "#bcd7ea", "#9cc08a"
COLOURS = {"red": "#c8463c", "blue": "#3f6fb5", "yellow": "#e3b23c", "green": "#4f9a62"}


def scene(colour, shape="disc", x=0.5, size=(320, 200)):
    """A shape that stands on grass."""
    width, height = size
    picture = PIL.Image.new("RGB", size, SKY)
    draw = PIL.ImageDraw.Draw(picture)
    draw.rectangle((0, height * 0.72, width, height), fill=GRASS)
    side, middle, floor = height * 0.5, width * x, height * 0.82
    box = (middle - side / 2, floor - side, middle + side / 2, floor)
    if shape == "disc":
        draw.ellipse(box, fill=COLOURS[colour])
    elif shape == "box":
        draw.rectangle(box, fill=COLOURS[colour])
    else:
        draw.polygon([(middle, floor - side), (box[2], floor), (box[0], floor)], fill=COLOURS[colour])
    return picture


def png(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def tone(seconds=0.5, pitch=440.0, rate=8000):
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        samples = [int(9000 * math.sin(2 * math.pi * pitch * n / rate)) for n in range(int(seconds * rate))]
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return buffer.getvalue()


def film(path, colour="red"):
    """Two seconds of a disc that crosses the picture, as MP4."""
    import av

    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 160, 112, "yuv420p"
        for n in range(16):
            frame = av.VideoFrame.from_ndarray(
                np.asarray(scene(colour, x=0.2 + n / 26, size=(160, 112))), format="rgb24"
            )
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


SOLUTION = [
    "There are 3 discs in each of the 4 rows.",
    " That makes 3 + 4 = 7 discs.",
    " Half of them are red, so 3.5 are red.",
    " A disc is whole, so I round to 4.",
]
BETTER = ["There are 3 discs in each of the 4 rows.", " 3 times 4 is 12 discs.", " Half of 12 is 6, so 6 are red."]
HOSTILE = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">"


def records(folder):
    """The records; pictures lie in ``folder``."""
    folder = Path(folder)
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    made = []
    answers = {"red": "a red disc", "blue": "a blue box", "yellow": "a yellow cone", "green": "a green disc"}
    for number, (colour, shape) in enumerate(zip(COLOURS, ("disc", "box", "cone", "disc"), strict=True)):
        path = folder / "pictures" / f"{colour}.png"
        scene(colour, shape).save(path)
        others = [text for name, text in answers.items() if name != colour]
        texts = [f"The picture shows {answers[colour]} on grass.", f"I see {others[0]} under a sky.", others[1]]
        feedback = [
            Preference(0, 1, rater="ann"),
            Preference(0, 2, rater="bob"),
            Rating(0, 5 - number, "ann", "detail"),
        ]
        question = [Image.from_path(path), "What does the picture show?"]
        made.append(Record.of(question, texts, id=f"shapes-{number}", feedback=feedback, source="shapes"))
    steps = [Response.from_steps(SOLUTION, ""), Response.from_steps(BETTER, "")]
    said = [StepLabels(0, (1, 0, 0, 0), "ann"), Critique(0, "adds where it should multiply", "bob"), Preference(1, 0)]
    question = "12 discs lie in 4 rows of 3. Half of them are red. How many are red?"
    made.append(Record.of(question, steps, id="steps", feedback=said, answer=6))
    drawn = [
        [Image.from_bytes(png(scene(colour, "box", x)))] for colour, x in (("blue", 0.2), ("red", 0.5), ("blue", 0.8))
    ]
    made.append(
        Record.of("Draw a blue box on the left.", drawn, id="drawn", feedback=[Preference(0, 1), Preference(0, 2)])
    )
    films = [
        Video.from_path(film(folder / "pictures" / "red.mp4")),
        Video.from_path(film(folder / "pictures" / "blue.mp4", "blue")),
    ]
    made.append(Record.of("Make a film of a red ball that rolls to the right.", [[each] for each in films], id="films"))
    sounds = [[Audio.from_bytes(tone(pitch=pitch))] for pitch in (440.0, 466.0)]
    made.append(Record.of("Play an A.", sounds, id="sounds", feedback=[Preference(0, 1)]))
    frames = [Image.from_bytes(png(scene("green", x=x, size=(160, 100)))) for x in (0.2, 0.5, 0.8)]
    moves = [[Video.from_frames(frames, 2.0)], [Video.from_frames(frames[::-1], 2.0)]]
    made.append(Record.of("Show a green disc that rolls to the right.", moves, id="frames/one & two"))
    tools = [
        Message("assistant", Response.of("I will measure it.").messages[0].parts, tool_calls=({"name": "measure"},)),
        Message("tool", Response.of("12 cm").messages[0].parts),
        Message("assistant", Response.of("It is 12 cm wide.").messages[0].parts),
    ]
    made.append(Record.of("How wide is the box?", [Response(tuple(tools)), HOSTILE], id="hostile", note=HOSTILE))
    return made


def judged(seed, given):
    """A reward with a value, a std, two attributes, steps, critiques and failures, the same for the same seed."""
    rng = np.random.default_rng(seed)
    table = {record.id: rng.normal(size=len(record.responses)).tolist() for record in given}

    def judge(batch):
        rows = [(record, index) for record in batch for index in range(len(record.responses))]
        values = torch.tensor([table[record.id][index] for record, index in rows])
        failed = [record.id == "frames/one & two" and index == 1 for record, index in rows]
        values[torch.tensor(failed)] = math.nan
        steps = [
            torch.linspace(0.95, 0.08, len(record.responses[index].step_ends))
            if index == 0
            else torch.linspace(0.8, 0.99, len(record.responses[index].step_ends))
            for record, index in rows
        ]
        return Scores(
            values=values.float(),
            group=torch.tensor([number for number, record in enumerate(batch) for _ in record.responses]),
            ids=tuple(record.response_id(index) for record, index in rows),
            status=tuple(Status.TIMEOUT if bad else Status.OK for bad in failed),
            std=torch.where(values.isnan(), torch.nan, values.abs() / 4 + 0.05).float(),
            attributes={"clarity": (values / 2).float(), "detail": (-values).float()},
            steps=tuple(step.float() for step in steps),
            critiques=tuple(HOSTILE if record.id == "hostile" else "Says what is there." for record, _ in rows),
            messages=tuple("60 s were not enough" if bad else "" for bad in failed),
        )

    judge.spec = Spec(modalities=frozenset({"text", "image", "video", "audio"}))
    return judge


def gallery(folder, suffix=".parquet"):
    """Paths of the data, of one reward's scores and of another's."""
    folder = Path(folder)
    given = records(folder)
    write(given, folder / "data.jsonl")
    paths = [folder / f"{name}{suffix}" for name in ("scores", "other")]
    for seed, path in enumerate(paths):
        score_file(judged(seed, given), given, path)
    return folder / "data.jsonl", *paths
