from __future__ import annotations

import os
from pathlib import Path

import pytest

from diffagent_tools.chat_models.diffagent import ChatDiffAgent
from diffagent_tools.chat_models.local import LocalChatDiffAgent
from diffagent_tools.chat_models.retrieval import RetrievalChatModel
from finetune.dabench.baselines import NearestPromptPlanner, PopularityPlanner, RandomPlanner
from finetune.dabench.free_writer import FreeWriter
from finetune.dabench.pairs import write_pairs
from finetune.dabench.planners import KINDS, Source, planners_of
from tests.finetune.dabench.paper_pairs import paper_pairs
from tool_specs.exceptions import ConfigError
from tool_specs.search.shortlist import Shortlister


@pytest.fixture
def source(paper_shortlister: Shortlister, tmp_path: Path) -> Source:
    pairs = [pair.model_copy(update={"split": "train"}) for pair in paper_pairs()]
    write_pairs(tmp_path / "data", pairs, card="# Paper")
    return Source(paper_shortlister, tmp_path / "data")


def test_every_kind_makes_its_planner(source: Source, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    local, endpoint = f"local:{tmp_path / 'weights'}", "endpoint:http://127.0.0.1:8000/v1:qwen3:4b"
    names = ["retrieval", "popularity", "nearest", "random:7", local, endpoint, f"closed_book:{local}"]
    planners = planners_of(names, source)
    assert [planner.name for planner in planners] == names
    kinds = [RetrievalChatModel, PopularityPlanner, NearestPromptPlanner, RandomPlanner, LocalChatDiffAgent]
    assert [type(planner.model) for planner in planners] == [*kinds, ChatDiffAgent, FreeWriter]
    assert [planner.closed_book for planner in planners] == [False] * 6 + [True]
    assert {name.partition(":")[0] for name in names} == set(KINDS)
    trained, seeded, served = planners[1].model, planners[3].model, planners[5].model
    assert isinstance(trained, PopularityPlanner)
    assert len(trained.pairs) == 3
    assert isinstance(seeded, RandomPlanner)
    assert seeded.seed == 7
    assert isinstance(served, ChatDiffAgent)
    assert (served.openai_api_base, served.model_name) == ("http://127.0.0.1:8000/v1", "qwen3:4b")


@pytest.mark.parametrize(
    ("argument", "url", "model"),
    [
        ("https://api.example.com/v1:org/model", "https://api.example.com/v1", "org/model"),
        ("http://localhost:model", "http://localhost", "model"),
        ("http://localhost:80:model", "http://localhost:80", "model"),
    ],
)
def test_endpoints(source: Source, argument: str, url: str, model: str) -> None:
    (planner,) = planners_of([f"llm=endpoint:{argument}"], source)
    assert planner.name == "llm"
    assert isinstance(planner.model, ChatDiffAgent)
    assert (planner.model.openai_api_base, planner.model.model_name) == (url, model)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["best"], r"'best' is no planner; write one of retrieval, .*endpoint, local"),
        (["random:x"], r"'random:x' has 'x' for a seed"),
        (["retrieval:2"], "takes no argument"),
        (["a=random", "a=random:1"], r"two planners are called 'a'; name one of them: other=a"),
        (["local:/nowhere"], r"has no folder /nowhere; write local:FOLDER"),
        (["closed_book:local:/nowhere"], r"has no folder /nowhere; write local:FOLDER"),
        (["closed_book:local"], r"cannot be asked without tools; write closed_book:local:FOLDER"),
        (["closed_book:retrieval"], r"cannot be asked without tools; write closed_book:local:FOLDER"),
        (["closed_book:endpoint:localhost:8000"], r"is no endpoint: write endpoint:http://HOST:PORT/v1:MODEL"),
        (["endpoint:localhost:8000"], r"is no endpoint: write endpoint:http://HOST:PORT/v1:MODEL"),
    ],
)
def test_wrong_names_say_what_to_write(source: Source, names: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        planners_of(names, source)


def test_a_password_in_an_address_is_refused_and_not_repeated(source: Source) -> None:
    for name in ("endpoint:http://me:s3cret@host/v1:m", "endpoint:http://s3cret@host:m"):
        with pytest.raises(ConfigError, match="DIFFAGENT_API_KEY") as told:
            planners_of([name], source)
        assert "s3cret" not in str(told.value)
    with pytest.raises(ConfigError, match="is no planner") as told:
        planners_of(["server:http://me:s3cret@host/v1:m"], source)
    assert "s3cret" not in str(told.value)


def test_baselines_need_training_pairs(paper_shortlister: Shortlister, tmp_path: Path) -> None:
    write_pairs(tmp_path / "data", paper_pairs(), card="# Paper")
    with pytest.raises(ConfigError, match="there is no split 'train'"):
        planners_of(["popularity"], Source(paper_shortlister, tmp_path / "data"))


def test_new_weights_are_a_new_planner(source: Source, tmp_path: Path) -> None:
    weights = tmp_path / "w" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"1")
    (before,), (same,) = (planners_of([f"local:{weights.parent}"], source) for _ in range(2))
    os.utime(weights, ns=(1, 1))
    (after,) = planners_of([f"local:{weights.parent}"], source)
    assert before.identity == same.identity != after.identity


@pytest.mark.parametrize("kind", ["endpoint", "closed_book:endpoint"])
def test_another_address_is_another_planner(source: Source, kind: str) -> None:
    before, same, after = (
        planners_of([f"sft={kind}:http://{place}/v1:diffagent"], source)[0].identity
        for place in ("a:8000", "a:8000", "b:8000")
    )
    assert before == same != after
