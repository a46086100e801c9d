"""The parameters of stage prepare. A source's section is that of its reader, see `voicetune.data.readers`."""

from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field, model_validator

from voicetune.data.readers import READERS
from voicetune.data.readers.source import Source
from voicetune.params.reading import Section, Seed

if TYPE_CHECKING:
    AnySource = Source
else:
    AnySource = Annotated[Union[tuple(READERS)], Field(discriminator="reader")]  # noqa: UP007 - of a table, only so

LARGEST = 0.8  # the largest sum of the validation and test shares


class Prepare(Section):
    """validation, test: shares of each source's texts, see `data.split`."""

    sources: list[AnySource] = Field(min_length=1)
    validation: float = Field(gt=0, lt=0.5, examples=[0.1])
    test: float = Field(gt=0, lt=0.5, examples=[0.1])
    min_seconds: float = Field(gt=0, examples=[0.5])
    max_seconds: float = Field(gt=0, le=27, examples=[11.6])
    trim_db: float = Field(gt=0, le=120, examples=[45])
    loudness: float = Field(ge=-70, le=-5, examples=[-23])
    peak: float = Field(gt=0, le=1, examples=[0.95])

    @model_validator(mode="after")
    def _check(self):
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError("two sources have the same name")
        if self.min_seconds >= self.max_seconds:
            raise ValueError("min_seconds must be below max_seconds")
        if self.validation + self.test > LARGEST:
            raise ValueError("validation and test must leave a fifth of the clips to train on")
        return self


class PrepareStage(Section):
    """What stage prepare reads of params.yaml. The fields of each stage's class are the keys that dvc.yaml lists."""

    seed: Seed
    prepare: Prepare
