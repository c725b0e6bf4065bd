"""Rewards by a CLIP model: CLIP score, PickScore, HPS v2. One network, three formulas."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from diffagent_tools.rewards.learned import LearnedReward
from tool_specs.pocket import pocket_reward

if TYPE_CHECKING:
    import torch
    from transformers import CLIPModel, PreTrainedModel


class CosineReward(LearnedReward):
    """A factor times the cosine between the embeddings of a picture and of its prompt in a `CLIPModel`."""

    learned_factor: ClassVar[bool] = False
    """Whether the factor is the model's own, learned one; else it is 100."""

    @classmethod
    def network(cls) -> type[PreTrainedModel]:
        """`CLIPModel`."""
        import transformers

        network: type[PreTrainedModel] = transformers.CLIPModel
        return network

    def _scores(self, model: CLIPModel, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        import torch

        output = model(**inputs)
        cosine = torch.nn.functional.cosine_similarity(output.image_embeds, output.text_embeds)
        return cosine * (model.logit_scale.exp() if self.learned_factor else 100.0)


class CLIPReward(CosineReward):
    """CLIP score of any `CLIPModel` folder, by default the pocket one.

    `max(100 * cos(E_image, E_text), 0)`: CLIP-S of Hessel et al. 2021 (equation 1) with the factor w = 100 in place of
    the paper's 2.5, as torchmetrics and most tables of text-to-image models have it. The range is 0 to 100.
    """

    kind = "clip"

    def __init__(self, source: Path | str | None = None, *, device: str = "auto") -> None:
        """Choose the model; it is loaded when the first picture is scored.

        Args:
            source: A transformers folder or hub id (see `LearnedReward`); by default the pocket model.
            device: "auto" is CUDA where there is any, else the CPU.
        """
        super().__init__(pocket_reward() if source is None else source, device=device)
        self._is_pocket = source is None

    @property
    def name(self) -> str:
        """The name of the folder or of the hub's model after "clip-"; "clip-pocket" for the default."""
        return "clip-pocket" if self._is_pocket else super().name

    def _scores(self, model: CLIPModel, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return super()._scores(model, inputs).clamp(min=0.0)


class PickScoreReward(CosineReward):
    r"""PickScore of Kirstain et al. 2023 (arXiv 2305.01569): a CLIP ViT-H/14 trained on which picture people pick.

    $$ s = e^{\tau} \cos(E_\text{image}, E_\text{text}) $$

    with the learned logit scale $\tau$, as the authors' README computes it. Reported means are around 20.

    The weights are `yuvalkirstain/PickScore_v1`. The processor is that of `laion/CLIP-ViT-H-14-laion2B-s32B-b79K`, as
    in the authors' README: shortest edge to 224 pixels, bicubic, the middle square, and 77 tokens of CLIP's vocabulary.
    A folder without `preprocessor_config.json` and tokenizer needs the files of that model beside its weights.
    """

    kind = "pickscore"
    learned_factor = True


class HPSReward(CosineReward):
    """HPS v2 of Wu et al. 2023 (arXiv 2306.09341), meant for the v2.1 weights: CLIP ViT-H/14 trained on human rankings.

    `100 * cos(E_image, E_text)`: the `hpsv2` package gives the cosine itself, its tables a hundred times that. Reported
    means go from 23 to 30.

    The authors publish `HPS_v2.1_compressed.pt` with the names of open_clip: `python -m
    diffagent_tools.rewards.published` makes a folder of it. As in their code a picture is not cropped but shrunk until
    its longest edge fits, with black bars.
    """

    kind = "hps"
    barred = True
