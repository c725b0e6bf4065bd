"""The published reward networks, small, in plain torch and under the names that their authors' weights have."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def shaken(network: nn.Module, seed: int) -> nn.Module:
    """The network with every weight moved, so that none is zero or one and no two layers are equal."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(weight + 0.1 * torch.randn(weight.shape, generator=noise))
    return network.eval()


class OpenCLIPBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        normed = self.ln_1(states)
        states = states + self.attn(normed, normed, normed, attn_mask=mask, need_weights=False)[0]
        return states + self.mlp["c_proj"](functional.gelu(self.mlp["c_fc"](self.ln_2(states))))


class OpenCLIPTower(nn.Module):
    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList([OpenCLIPBlock(width, heads) for _ in range(layers)])

    def forward(self, states: Tensor, mask: Tensor | None = None) -> Tensor:
        for block in self.resblocks:
            states = block(states, mask)
        return states


class OpenCLIPVision(nn.Module):
    def __init__(self, width: int, heads: int, layers: int, size: int, patch: int, out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros((size // patch) ** 2 + 1, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = OpenCLIPTower(width, heads, layers)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.zeros(width, out))

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.conv1(pixels).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(pixels), 1, -1)
        states = self.ln_pre(torch.cat([first, patches], dim=1) + self.positional_embedding)
        return self.ln_post(self.transformer(states)[:, 0]) @ self.proj


class OpenCLIP(nn.Module):
    """A CLIP as open_clip names it: pre-norm blocks, GELU, the text pooled at its end token."""

    def __init__(self, *, vocabulary: int, context: int, size: int, patch: int, out: int) -> None:
        super().__init__()
        self.visual = OpenCLIPVision(40, 2, 2, size, patch, out)
        self.token_embedding = nn.Embedding(vocabulary, 32)
        self.positional_embedding = nn.Parameter(torch.zeros(context, 32))
        self.transformer = OpenCLIPTower(32, 4, 3)
        self.ln_final = nn.LayerNorm(32)
        self.text_projection = nn.Parameter(torch.zeros(32, out))
        self.logit_scale = nn.Parameter(torch.tensor(3.0))

    def forward(self, pixels: Tensor, tokens: Tensor, ends: Tensor) -> Tensor:
        """Cosines (n,) of pictures and texts whose end token is at `ends`."""
        later = torch.full((tokens.shape[1], tokens.shape[1]), -torch.inf).triu(1)
        states = self.transformer(self.token_embedding(tokens) + self.positional_embedding, later)
        texts = self.ln_final(states)[torch.arange(len(tokens)), ends] @ self.text_projection
        return functional.cosine_similarity(self.visual(pixels), texts)


def _heads(states: Tensor, heads: int) -> Tensor:
    return states.unflatten(-1, (heads, -1)).transpose(1, 2)


class ViTAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, states: Tensor) -> Tensor:
        query, key, value = (_heads(part, self.heads) for part in self.qkv(states).chunk(3, dim=-1))
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class ViTBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = ViTAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, states: Tensor) -> Tensor:
        states = states + self.attn(self.norm1(states))
        return states + self.mlp["fc2"](functional.gelu(self.mlp["fc1"](self.norm2(states))))


class ViT(nn.Module):
    def __init__(self, width: int, heads: int, layers: int, size: int, patch: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, (size // patch) ** 2 + 1, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch)})
        self.blocks = nn.ModuleList([ViTBlock(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.patch_embed["proj"](pixels).flatten(2).transpose(1, 2)
        states = torch.cat([self.cls_token.expand(len(pixels), -1, -1), patches], dim=1) + self.pos_embed
        for block in self.blocks:
            states = block(states)
        return self.norm(states)


def _bert_attention(width: int, source: int) -> nn.ModuleDict:
    inside = {"query": nn.Linear(width, width), "key": nn.Linear(source, width), "value": nn.Linear(source, width)}
    after = {"dense": nn.Linear(width, width), "LayerNorm": nn.LayerNorm(width, eps=1e-12)}
    return nn.ModuleDict({"self": nn.ModuleDict(inside), "output": nn.ModuleDict(after)})


class BertLayer(nn.Module):
    def __init__(self, width: int, heads: int, source: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention = _bert_attention(width, width)
        self.crossattention = _bert_attention(width, source)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, 2 * width)})
        self.output = nn.ModuleDict({"dense": nn.Linear(2 * width, width), "LayerNorm": nn.LayerNorm(width, eps=1e-12)})

    def _attend(self, part: nn.ModuleDict, states: Tensor, source: Tensor, mask: Tensor | None) -> Tensor:
        query = _heads(part["self"]["query"](states), self.heads)
        key, value = (_heads(part["self"][name](source), self.heads) for name in ("key", "value"))
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)
        return part["output"]["LayerNorm"](part["output"]["dense"](mixed) + states)

    def forward(self, states: Tensor, mask: Tensor, patches: Tensor) -> Tensor:
        states = self._attend(self.attention, states, states, mask[:, None, None, :].bool())
        states = self._attend(self.crossattention, states, patches, None)
        wide = functional.gelu(self.intermediate["dense"](states))
        return self.output["LayerNorm"](self.output["dense"](wide) + states)


class PublishedImageReward(nn.Module):
    """ImageReward as its authors name it, with what they publish and never use."""

    def __init__(self, *, vocabulary: int, size: int, patch: int, width: int = 36, vision_width: int = 48) -> None:
        super().__init__()
        embeddings = {
            "word_embeddings": nn.Embedding(vocabulary, width),
            "position_embeddings": nn.Embedding(64, width),
            "LayerNorm": nn.LayerNorm(width, eps=1e-12),
        }
        layers = nn.ModuleList([BertLayer(width, 3, vision_width) for _ in range(2)])
        text = {"embeddings": nn.ModuleDict(embeddings), "encoder": nn.ModuleDict({"layer": layers})}
        self.blip = nn.ModuleDict(
            {
                "visual_encoder": ViT(vision_width, 4, 2, size, patch),
                "text_encoder": nn.ModuleDict(text),
                "vision_proj": nn.Linear(vision_width, 8),
                "text_proj": nn.Linear(width, 8),
            }
        )
        self.blip["text_encoder"]["embeddings"].register_buffer("position_ids", torch.arange(64)[None])
        head = [
            *(nn.Linear(width, 1024), nn.Dropout(0.2), nn.Linear(1024, 128), nn.Dropout(0.2)),
            *(nn.Linear(128, 64), nn.Dropout(0.1), nn.Linear(64, 16), nn.Linear(16, 1)),
        ]
        self.mlp = nn.ModuleDict({"layers": nn.Sequential(*head)})

    def forward(self, pixels: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Standardised rewards (n,), with the constants of the authors' code."""
        patches = self.blip["visual_encoder"](pixels)
        embeddings = self.blip["text_encoder"]["embeddings"]
        places = embeddings["position_embeddings"].weight[: tokens.shape[1]]
        states = embeddings["LayerNorm"](embeddings["word_embeddings"](tokens) + places)
        for layer in self.blip["text_encoder"]["encoder"]["layer"]:
            states = layer(states, mask, patches)
        return (self.mlp["layers"](states[:, 0])[:, 0] - 0.16717362830052426) / 1.0333394966054072
