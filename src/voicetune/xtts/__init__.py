"""XTTS, a family of models. `voicetune.model` says what each of the modules below is for."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # mypy compares each module with its protocol
    from voicetune import model
    from voicetune.xtts import encoding, export, folder, hub, layout, limits, origins, speaking, training

    _limits: model.Limits = limits
    _layout: model.Layout = layout
    _folder: model.Folder = folder
    _origins: model.Origins = origins
    _encoding: model.Encoding = encoding
    _training: model.Training = training
    _speaking: model.Speaking = speaking
    _export: model.Export = export
    _hub: model.Hub = hub
