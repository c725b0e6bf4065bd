"""Weights files: found in folders that are there already, else downloaded from Civitai."""

from __future__ import annotations

from tool_specs.downloads.downloader import Downloader
from tool_specs.downloads.model_folder import ModelFolder
from tool_specs.downloads.weights import WeightsFiles

__all__ = ["Downloader", "ModelFolder", "WeightsFiles"]
