"""What a quality run may be told."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from models.quality.settings import LabelKind
from training.config import Table

Share = Annotated[float, Field(strict=True, gt=0, le=1)]


class LabelSettings(Table):
    """What a label means, and how sure a flag must be.

    A ``grade`` is the note's overall quality (0 poor, 0.5 fair, 1 good): it becomes the quality score.
    """

    kind: Literal[LabelKind.HARM, LabelKind.MERIT, LabelKind.NEUTRAL, "grade"] = LabelKind.NEUTRAL
    precision: Share = 0.9
    """The threshold is the lowest from which on this share of the flagged tuning notes has the label."""


class Tower(Table):
    """How the encoder is fine-tuned."""

    window_tokens: int = Field(default=160, strict=True, ge=16, le=512)
    epochs: int = Field(default=2, strict=True, ge=1, le=20)
    max_rows_read: int = Field(default=100_000, strict=True, ge=100)
    """Notes read over all epochs, at most: of more notes there are, each epoch reads a part."""
    batch_size: int = Field(default=64, strict=True, ge=1)
    learning_rate: float = Field(default=5e-4, strict=True, gt=0)
    device: Literal["auto", "cpu", "cuda"] = "auto"


class Gates(Table):
    """What a model must reach to be registered."""

    max_auc_lost: float = Field(default=0.01, strict=True)
    """By the model, beside TF-IDF with logistic regression, on any label: it fails where more is lost for certain, the
    95% interval of the difference lying below."""
    max_int8_f1_lost: float = Field(default=0.003, strict=True)
    """Macro-F1 that 8 bits may cost on any label; where they cost more, the model ships in 32 bits."""
    max_flag_rate_drop: float = Field(default=0.1, strict=True)
    """Share of flagged harm that evasions may hide."""


class QualityConfig(Table):
    """A quality run's settings; labels are those that the data name, each ``neutral`` unless it is declared here."""

    labels: Mapping[str, LabelSettings] = {}
    encoder: str = "builtin:use-v3"
    lexicons: Path | None = None
    """A folder whose files replace the built-in lexicons."""
    promote_from: float = Field(default=80, strict=True, ge=0, le=100)
    limit_below: float = Field(default=30, strict=True, ge=0, le=100)
    seed: int = Field(default=7, strict=True, ge=0, lt=2**31)
    tower: Tower = Tower()
    gates: Gates = Gates()

    def settings_of(self, label: str) -> LabelSettings:
        """A label's settings, declared or not."""
        return self.labels.get(label, LabelSettings())
