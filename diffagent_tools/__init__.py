"""What a LangChain app imports: a toolkit, tools that draw, chat models that pick among them, a retriever, backends.

The names below load on first use, so that `import diffagent_tools` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diffagent_tools.artifacts import ArtifactStore
    from diffagent_tools.attachments import with_images
    from diffagent_tools.backends.diffusers_backend import DiffusersBackend
    from diffagent_tools.chat_models.diffagent import ChatDiffAgent
    from diffagent_tools.chat_models.local import LocalChatDiffAgent
    from diffagent_tools.chat_models.retrieval import RetrievalChatModel
    from diffagent_tools.embeddings import MiniLMEmbedder
    from diffagent_tools.middleware import DiffAgentMiddleware
    from diffagent_tools.retrievers import ModelRetriever
    from diffagent_tools.rewards.clip import CLIPReward, HPSReward, PickScoreReward
    from diffagent_tools.rewards.image_reward import ImageRewardReward
    from diffagent_tools.rewards.unified import Calibration, UnifiedReward
    from diffagent_tools.toolkit import DiffAgentToolkit
    from diffagent_tools.tools.describe_model import DescribeModelTool
    from diffagent_tools.tools.generate_image import GenerateImageTool
    from diffagent_tools.tools.generation import GenerationTool, tools_for
    from diffagent_tools.tools.score_image import ScoreImageTool
    from diffagent_tools.tools.search_models import SearchModelsTool

_HOMES = {
    "ArtifactStore": "artifacts",
    "CLIPReward": "rewards.clip",
    "Calibration": "rewards.unified",
    "ChatDiffAgent": "chat_models.diffagent",
    "DescribeModelTool": "tools.describe_model",
    "DiffAgentMiddleware": "middleware",
    "DiffAgentToolkit": "toolkit",
    "DiffusersBackend": "backends.diffusers_backend",
    "GenerateImageTool": "tools.generate_image",
    "GenerationTool": "tools.generation",
    "HPSReward": "rewards.clip",
    "ImageRewardReward": "rewards.image_reward",
    "LocalChatDiffAgent": "chat_models.local",
    "MiniLMEmbedder": "embeddings",
    "ModelRetriever": "retrievers",
    "PickScoreReward": "rewards.clip",
    "RetrievalChatModel": "chat_models.retrieval",
    "ScoreImageTool": "tools.score_image",
    "SearchModelsTool": "tools.search_models",
    "UnifiedReward": "rewards.unified",
    "tools_for": "tools.generation",
    "with_images": "attachments",
}
"""Public name to the module that defines it."""

__all__ = [
    "ArtifactStore",
    "CLIPReward",
    "Calibration",
    "ChatDiffAgent",
    "DescribeModelTool",
    "DiffAgentMiddleware",
    "DiffAgentToolkit",
    "DiffusersBackend",
    "GenerateImageTool",
    "GenerationTool",
    "HPSReward",
    "ImageRewardReward",
    "LocalChatDiffAgent",
    "MiniLMEmbedder",
    "ModelRetriever",
    "PickScoreReward",
    "RetrievalChatModel",
    "ScoreImageTool",
    "SearchModelsTool",
    "UnifiedReward",
    "tools_for",
    "with_images",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
