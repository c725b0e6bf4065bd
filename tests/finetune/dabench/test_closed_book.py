from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from rich.console import Console

from finetune.dabench.closed_book import read_from_memory, with_written_call
from finetune.dabench.evaluation import evaluate
from finetune.dabench.measures import cases, invalid, invented
from finetune.dabench.pairs import Pair
from finetune.dabench.planners import Source, planners_of
from finetune.dabench.results import Result
from finetune.sfta.samples import declining, sample_of
from tests.diffagent_tools.chat_models.chat_server import ChatServer, answer, call, serving
from tests.finetune.dabench.paper_pairs import paper_pairs
from tests.graphs.paper_world import ANIMALS, CATALOG, FOOD, PIXEL
from tests.pocket_arguments import pocket_arguments
from tool_specs.search.shortlist import Shortlister

FOX, PIZZA = CATALOG.get(ANIMALS).tool_name, CATALOG.get(FOOD).tool_name
NOWHERE = "civitai_1_dreamshaper"
ANIMAL_PAIR, FOOD_PAIR, NOTHING = paper_pairs()


def written(tool: str, **changes: object) -> str:
    """A call in the words of Qwen3's chat template."""
    told = {"name": tool, "arguments": pocket_arguments(**changes)}
    return f"<tool_call>\n{json.dumps(told)}\n</tool_call>"


@pytest.mark.parametrize("before", ["", "I know one: ", "<think>\n\n</think>\n\n", "<think>a <tool_call>?</think>"])
def test_the_call_in_a_text_is_one(before: str) -> None:
    usage: Any = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    given = AIMessage(before + written(FOX), usage_metadata=usage, response_metadata={"finish_reason": "stop"})
    read = with_written_call(given)
    assert [(one["name"], one["args"]["prompt"]) for one in read.tool_calls] == [(FOX, "a fox")]
    assert (read.usage_metadata, read.response_metadata) == (usage, {"finish_reason": "stop"})


@pytest.mark.parametrize("text", ["None of them can.", "<think>It was <tool_call> …", ""])
def test_words_are_words(text: str) -> None:
    reading = read_from_memory(with_written_call(AIMessage(text)), CATALOG)
    assert (reading.declined, reading.call, reading.problem) == (True, None, None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (written(FOX)[:60], "not valid JSON"),
        ('<tool_call>{"name": 3}</tool_call>', "not valid JSON"),
        (written(NOWHERE), r"^there is no tool 'civitai_1_dreamshaper'$"),
        (written(CATALOG.get(PIXEL).tool_name), "there is no tool"),
        (written(FOX, steps=1000), "steps=1000"),
        (written(FOX, loras=[{"id": "civitai:5@55", "weight": 1}]), "civitai:5@55"),
    ],
)
def test_what_cannot_be_drawn_says_why(text: str, problem: str) -> None:
    reading = read_from_memory(with_written_call(AIMessage(text)), CATALOG)
    assert (reading.declined, reading.call) == (False, None)
    with pytest.raises(ValueError, match=problem):
        raise ValueError(reading.problem)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with serving() as running:
        yield running


def asked(server: ChatServer, reply: dict[str, Any], pair: Pair, shortlister: Shortlister, folder: Path) -> Result:
    """What an endpoint that gives one answer makes of a pair."""
    server.reply = reply
    planners = planners_of([f"closed=closed_book:endpoint:{server.url}:planner"], Source(shortlister, folder))
    (row,) = evaluate([pair], planners, shortlister, folder, console=Console(file=io.StringIO()))
    return row


def test_an_endpoint_names_known_models_and_invented_ones(
    server: ChatServer, paper_shortlister: Shortlister, tmp_path: Path
) -> None:
    def ask(reply: dict[str, Any], pair: Pair, name: str) -> Result:
        return asked(server, reply, pair.model_copy(update={"id": name}), paper_shortlister, tmp_path)

    pixel = [{"id": PIXEL, "weight": 0.9}]
    arguments = json.dumps(pocket_arguments())
    known = ask(answer(written(PIZZA, loras=pixel)), FOOD_PAIR, "written")
    parsed = ask(answer(calls=[call(arguments, FOX)], finish="tool_calls"), ANIMAL_PAIR, "parsed")
    made_up = ask(answer(written(NOWHERE)), ANIMAL_PAIR, "made up")
    network = ask(answer(written(FOX, loras=[{"id": "civitai:5@55", "weight": 1}])), ANIMAL_PAIR, "network")
    cut = ask(answer(written(FOX)[:80], finish="length"), ANIMAL_PAIR, "cut")
    no = ask(answer(declining().text), NOTHING, "no")

    assert (known.model, known.loras, known.invented, known.problem) == (FOOD, (PIXEL,), (), None)
    assert known.call is not None
    assert (parsed.model, parsed.call and parsed.call["prompt"]) == (ANIMALS, "a fox")
    assert (made_up.tool, made_up.model, made_up.invented) == (
        *["civitai_1_dreamshaper"],
        None,
        ("civitai_1_dreamshaper",),
    )
    assert network.invented == ("civitai:5@55",)
    assert (cut.declined, cut.invented, "length limit" in str(cut.problem)) == (False, (), True)
    assert (no.declined, no.call, no.input_tokens) == (True, None, 5)
    rows = [known, parsed, made_up, network, cut, no]
    pairs = [ANIMAL_PAIR.model_copy(update={"id": row.pair}) for row in rows]
    assert [invented(case) for case in cases(pairs, rows)] == [0.0, 0.0, 1.0, 1.0, 0.0, None]
    assert [invalid(case) for case in cases(pairs, rows)] == [0.0, 0.0, 1.0, 1.0, 1.0, None]


def test_it_is_asked_what_closed_book_samples_ask(
    server: ChatServer, paper_shortlister: Shortlister, tmp_path: Path
) -> None:
    asked(server, answer("No."), ANIMAL_PAIR, paper_shortlister, tmp_path)
    shortlist = paper_shortlister.shortlist(ANIMAL_PAIR.instruction, k=8)
    sample = sample_of("fox", ANIMAL_PAIR.instruction, shortlist, declining(), closed_book=True)
    assert server.asked_last["messages"] == sample.messages
    assert not server.asked_last.get("tools")
    assert sample.tools == []


def test_it_is_asked_where_nothing_is_offered(
    server: ChatServer, paper_shortlister: Shortlister, tmp_path: Path
) -> None:
    odd = ANIMAL_PAIR.model_copy(update={"instruction": "?!"})
    row = asked(server, answer(written(FOX)), odd, paper_shortlister, tmp_path)
    assert (row.offered, row.model, len(server.asked)) == ((), ANIMALS, 1)


def test_open_and_closed_book_are_two_planners(paper_shortlister: Shortlister, tmp_path: Path) -> None:
    endpoint = "endpoint:http://127.0.0.1:1/v1:m"
    first, second = planners_of([endpoint, f"closed_book:{endpoint}"], Source(paper_shortlister, tmp_path))
    assert first.identity != second.identity
