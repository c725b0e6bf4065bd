from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage
from rich.console import Console
from transformers import AutoTokenizer

from diffagent_tools.planning import conversation
from finetune.dabench.evaluation import evaluate
from finetune.dabench.free_writer import FreeWriter
from finetune.dabench.planners import Source, planners_of
from finetune.sfta.samples import calling, rendered, sample_of
from finetune.sfta.sft import SFTSettings, train_sft
from tests.finetune.dabench.paper_pairs import paper_pairs
from tests.finetune.sfta.tiny_planner import qwen3_template, save_planner, write_jsonl
from tests.graphs.paper_world import ANIMALS, CATALOG
from tool_specs.exceptions import RequestError, WeightsError
from tool_specs.search.shortlist import Shortlister

FOX, PIZZA, TAX = paper_pairs()
INVENTED = "civitai_1_dreamshaper"


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_planner(tmp_path_factory.mktemp("planner"))


@pytest.mark.parametrize("published", [False, True])
def test_it_reads_what_closed_book_rows_have_and_says_how_much(
    published: bool, planner: Path, paper_shortlister: Shortlister, tmp_path: Path
) -> None:
    if published:
        planner = save_planner(tmp_path, template=qwen3_template())
    tokenizer = AutoTokenizer.from_pretrained(planner)
    shortlist = paper_shortlister.shortlist(FOX.instruction, k=8)
    sample = sample_of("fox", FOX.instruction, shortlist, calling(INVENTED, {}), closed_book=True)
    row = rendered(sample, tokenizer, **({"enable_thinking": False} if published else {}))
    writer = FreeWriter(folder=planner, device="cpu", max_tokens=8)
    said = writer.invoke(conversation([HumanMessage(FOX.instruction)]))
    assert said.usage_metadata is not None
    assert said.usage_metadata["input_tokens"] == len(tokenizer(row["prompt"], add_special_tokens=False)["input_ids"])
    assert said.usage_metadata["output_tokens"] <= 8
    assert said.response_metadata["finish_reason"] in ("stop", "length")
    assert writer.invoke(conversation([HumanMessage(FOX.instruction)])).text == said.text


def test_what_it_cannot_read_is_told(planner: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"the answer may have 8, but the model reads 1024; shorten the request"):
        FreeWriter(folder=planner, device="cpu", max_tokens=8).invoke("a fox " * 1000)
    with pytest.raises(WeightsError, match="cannot be read"):
        FreeWriter(folder=tmp_path, device="cpu").invoke("a fox")


@pytest.mark.slow
def test_a_planner_that_was_trained_closed_book_is_measured(
    planner: Path, paper_shortlister: Shortlister, tmp_path: Path
) -> None:
    """Two rows are learned by heart: a right call, and one of a model that does not exist."""
    tokenizer = AutoTokenizer.from_pretrained(planner)
    rows = []
    for pair, tool in ((FOX, CATALOG.get(ANIMALS).tool_name), (PIZZA, INVENTED)):
        shortlist = paper_shortlister.shortlist(pair.instruction, k=8)
        told = calling(tool, {"prompt": pair.reference})
        rows.append(rendered(sample_of(pair.id, pair.instruction, shortlist, told, closed_book=True), tokenizer))
    settings = SFTSettings(
        model=str(planner),
        data=write_jsonl(tmp_path / "rows.jsonl", rows),
        out=tmp_path / "run",
        max_steps=120,
        batch_size=2,
        learning_rate=1e-2,
        bf16=False,
    )
    model = train_sft(settings)
    planners = planners_of([f"closed=closed_book:local:{model}"], Source(paper_shortlister, tmp_path))
    fox, pizza = evaluate(
        [FOX, PIZZA], planners, paper_shortlister, tmp_path / "eval", console=Console(file=io.StringIO())
    )
    assert (fox.model, fox.call and fox.call["prompt"], fox.invented) == (ANIMALS, "a fox", ())
    assert (pizza.tool, pizza.call, pizza.invented) == (INVENTED, None, (INVENTED,))
    assert json.loads((tmp_path / "eval" / "results.jsonl").read_text().splitlines()[1])["invented"] == [INVENTED]
