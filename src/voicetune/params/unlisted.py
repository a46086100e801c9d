"""Keys of params.yaml that no result depends on. No stage lists them in dvc.yaml, so changing one reruns nothing."""

from pydantic import Field

from voicetune.params.reading import Section


class Unlisted(Section):
    jobs: int = Field(ge=0, le=1024, examples=[0], description="processes that prepare clips; 0 is one a core")
    max_restarts: int = Field(ge=0, le=100, examples=[3], description="how often a crashed phase is restarted")
