"""What a backbone can do, and the token-level values that pass between templating, sharing and heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from torch import Tensor, nn

from assay.models.asking import Cost
from assay.models.placement import Placement
from assay.scores import Status

if TYPE_CHECKING:
    from assay.models.features import FeatureStore
    from assay.models.layout import Layout
    from assay.models.prepare import OnTooLong, Prepared
    from assay.models.reading import Where
    from assay.records import Message, Record, Response
    from assay.records.steps import Split


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """One prompt with one response, templated and tokenised: what a model sees if it is scored alone, without padding.

    Shapes: ``ids`` ``[length]`` int64; ``types`` ``[length]`` int64, the class's own token types (token_type_ids of
    PaliGemma and Gemma3, mm_token_type_ids of Qwen-VL), None for classes without; ``reads`` ``[reads]`` int64, the
    positions whose last hidden states a head is given (the true last token, by index, unless steps are scored).
    ``images`` are the content keys of the pictures, in the order of their placeholder spans in ``ids``.
    ``truncated`` is set when a declared truncation policy shortened the sequence. ``prompt`` says that the first read
    is the prompt's last token, in front of those that the head asked for. ``ends`` ``[reads]`` int64 is the character
    of the response's text at which each read token ends (0 in the prompt); None where only the last token is read.
    """

    ids: Tensor
    reads: Tensor
    types: Tensor | None = None
    images: tuple[str, ...] = ()
    truncated: bool = False
    prompt: bool = False
    ends: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Pixels:
    """One preprocessed picture: the tensors the model's own image processor gives for it alone.

    ``inputs`` holds ``pixel_values`` and, where the class has them, ``image_grid_thw`` or ``pixel_attention_mask``.
    ``key`` is the picture's content hash joined with the fingerprint of the preprocessing.
    """

    key: str
    inputs: Mapping[str, Tensor]
    tokens: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Token sequences grouped by prompt, and the pictures they name: ``groups[g][n]`` is response n of record g."""

    groups: Sequence[Sequence[TokenSequence]]
    pixels: Mapping[str, Pixels] = field(default_factory=dict[str, Pixels])


class Encoder(Protocol):
    """A backbone: what makes records its input, and turns them differentiably into the hidden states a head reads.

    `assay.models.hf.Backbone` is one (a transformers sequence model). Rewards, training and saving use a backbone
    through this alone.
    """

    @property
    def module(self) -> nn.Module:
        """The weights."""
        ...

    @property
    def hidden_size(self) -> int:
        """Width of the hidden states."""
        ...

    @property
    def modalities(self) -> frozenset[str]:
        """What it takes in."""
        ...

    @property
    def placement(self) -> Placement:
        """Device and number format."""
        ...

    @property
    def source(self) -> str:
        """Where it came from: a path, a hub id or ``memory``."""
        ...

    @property
    def max_length(self) -> int:
        """The longest sequence in tokens."""
        ...

    @property
    def gaps(self) -> bool:
        """Whether a state may be NaN because the sequence lacks what it is of: a missing modality."""
        ...

    def describe(self) -> str:
        """One line: what it is, where it runs, in which format."""
        ...

    def prepare(
        self,
        records: Sequence[Record],
        *,
        max_length: int | None = None,
        on_too_long: OnTooLong = ...,
        read: Where = ...,
        prompt: bool = False,
    ) -> Prepared:
        """Sequences and media for every response of the records, and the status of those that have none.

        ``read`` chooses the states a head is given; with ``prompt`` the prompt's comes first.
        """
        ...

    def pixels(self, messages: Sequence[Message], /) -> Mapping[str, Pixels]:
        """The media of a dialogue, preprocessed, by the keys that its sequence names.

        Raises:
            MediaError: a medium cannot be read any more.
        """
        ...

    def encode(
        self,
        batch: Batch,
        /,
        *,
        layout: Layout | None = None,
        token_budget: int = ...,
        features: FeatureStore | None = None,
    ) -> list[Tensor]:
        """For each sequence, in order over groups, the hidden states ``[reads, hidden]`` at its ``reads`` positions.

        ``token_budget`` bounds the tokens of one forward and changes no state; ``features`` keeps what a frozen tower
        made of media.
        """
        ...

    def fingerprints(self) -> dict[str, str]:
        """What shapes its input and arithmetic beside the weights, by name; ``dtype`` is the weights' format."""
        ...

    def with_module(self, module: nn.Module, /) -> Encoder:
        """The same backbone around another module: one wrapped by peft, or merged again."""
        ...

    def write(self, directory: Path, head: nn.Module, /, *, adapter: bool = False) -> dict[str, Any]:
        """Write weights and all that makes records its input; with ``adapter`` only peft adapters and the base's name.

        Gives what ``read`` needs, as JSON values. ``read`` in it is the path below ``assay.models`` of a function
        ``(directory, written, *, device, dtype) -> Encoder`` that reads it back and raises `CheckpointError` where the
        files no longer are what was written. ``head`` is offered to formats that hold a head too, and
        ``transformers_class`` in what is given names such a format.
        """
        ...


class Generator(Protocol):
    """A policy that goes on from what was said so far."""

    def generate(self, prefixes: Sequence[Record], n: int, seed: int = 0, /) -> list[list[Response]]:
        """For each prefix ``n`` whole responses that begin with it, the same for the same seed.

        A prefix is a record with one response, what was said so far; with none, nothing was. What is sampled for a
        prefix does not depend on the prefixes beside it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Continuation:
    """A prefix gone on with: a response that is ``whole``, or ends with a step after which there would be more.

    ``response`` is None exactly where ``status`` is not `Status.OK`; ``cost`` is what was read and written for it,
    what lies behind the end of the step too.

    Raises:
        ValueError: a response with a status that says that there is none, or none without one.
    """

    response: Response | None
    whole: bool = True
    status: Status = Status.OK
    message: str = ""
    cost: Cost = field(default_factory=Cost)

    def __post_init__(self) -> None:
        if (self.response is None) != (self.status is not Status.OK):
            raise ValueError(f"a continuation of status {self.status} with response {self.response!r}")


@runtime_checkable
class StepGenerator(Protocol):
    """A `Generator` that can stop where a step ends, says what it wrote, and names what failed instead of raising."""

    def generate_steps(
        self, prefixes: Sequence[Record], n: int, seed: int = 0, /, *, split: Split | None = None, step: int = 0
    ) -> list[list[Continuation]]:
        """For each prefix ``n`` continuations, each up to where step ``step`` (0 the first, the prefix's own counted)
        of the response ends by ``split``; whole where it has no further step, and without ``split``.

        They are what `generate` gives for the same seed, cut there: as soon as the step after it has begun, nothing
        more is sampled. So ``split`` must not move the end of a step that another one follows when more text comes; the
        rules of `assay.records.steps` do not.
        """
        ...
