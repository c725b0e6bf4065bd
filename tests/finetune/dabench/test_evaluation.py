from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatResult
from rich.console import Console

from diffagent_tools.planning import GUIDE
from diffagent_tools.tools.generation import tool_schemas
from finetune.dabench.drawing import Studio, seed_of
from finetune.dabench.evaluation import FILE_NAME, Planner, evaluate
from finetune.dabench.pairs import Pair
from finetune.dabench.results import Result
from finetune.json_lines import JsonLines
from tests.finetune.dabench.paper_pairs import paper_pairs
from tests.finetune.dabench.scripted import Scripted, calling
from tests.graphs.paper_world import ANIMALS, CATALOG, FOOD, PIXEL, BrightnessReward, PaperBackend
from tests.killed_process import kill_after, started
from tool_specs.exceptions import BackendError, CallError, RequestError, WeightsError
from tool_specs.search.shortlist import Shortlist, Shortlister

FOX, PIZZA = CATALOG.get(ANIMALS).tool_name, CATALOG.get(FOOD).tool_name
REFUSAL = AIMessage("None of them can.")


Ask = Callable[..., list[Result]]


def quiet() -> Console:
    return Console(file=io.StringIO())


def rows_in(folder: Path) -> list[Result]:
    return JsonLines(folder / FILE_NAME, Result).read()


@pytest.fixture
def asked(paper_shortlister: Shortlister, tmp_path: Path) -> Ask:
    """Evaluate scripted planners on the paper pairs in one folder."""

    def ask(
        *planners: Planner, pairs: list[Pair] | None = None, studio: Studio | None = None, pictures: int = 1
    ) -> list[Result]:
        return evaluate(
            pairs or paper_pairs(),
            planners,
            paper_shortlister,
            tmp_path,
            studio=studio,
            pictures=pictures,
            console=quiet(),
        )

    return ask


def test_planners_are_asked_as_in_serving(asked: Ask, paper_shortlister: Shortlister) -> None:
    model = Scripted(answers=[calling(FOX)])
    asked(Planner("p", model), pairs=paper_pairs()[:1])
    ((messages, tools),) = model.asked
    assert messages == [SystemMessage(GUIDE), HumanMessage("a fox please")]
    assert tools == tool_schemas(paper_shortlister.shortlist("a fox please", k=8))


def test_rows_say_what_became_of_each_question(asked: Ask, tmp_path: Path) -> None:
    pixel = [{"id": PIXEL, "weight": 0.9}]
    model = Scripted(answers=[calling(FOX), calling(PIZZA, loras=pixel), REFUSAL])
    rows = asked(Planner("p", model))
    fox, pizza, tax = rows
    assert [row.pair for row in rows] == ["fox", "pizza", "tax"]
    assert (fox.tool, fox.model, fox.call and fox.call["prompt"]) == (FOX, ANIMALS, "a fox")
    assert (fox.input_tokens, fox.output_tokens) == (200, 30)
    assert fox.offered[0] == ANIMALS
    assert PIXEL in pizza.networks
    assert pizza.loras == (PIXEL,)
    assert (tax.declined, tax.problem, tax.call, tax.fits, tax.input_tokens) == (True, None, None, False, None)
    assert all(row.seconds > 0 and row.reward is None for row in rows)
    assert rows_in(tmp_path) == rows


def test_invented_names_are_told_from_other_mistakes(asked: Ask) -> None:
    answers = {
        "a tool of nowhere": calling("civitai_1_dreamshaper"),
        "a network of nowhere": calling(FOX, loras=[{"id": "civitai:5@55", "weight": 1}]),
        "a network that does not fit": calling(FOX, loras=[{"id": "civitai:9013@9113", "weight": 1}]),
        "a steps count": calling(FOX, steps=1000),
        "no networks at all": calling(FOX, loras="pixel art"),
        "cut while it thought": AIMessage("", response_metadata={"finish_reason": "length"}),
        "broken JSON": AIMessage("", invalid_tool_calls=[{"name": FOX, "args": "{", "id": "1", "error": "cut"}]),
    }
    model = Scripted(answers=list(answers.values()))
    pairs = [paper_pairs()[0].model_copy(update={"id": name}) for name in answers]
    rows = {row.pair: row for row in asked(Planner("p", model), pairs=pairs)}
    assert rows["a tool of nowhere"].invented == ("civitai_1_dreamshaper",)
    assert rows["a network of nowhere"].invented == ("civitai:5@55",)
    assert all(row.call is None and row.problem and not row.declined for row in rows.values())
    assert not any(rows[name].invented for name in list(answers)[2:])
    assert "steps=1000" in str(rows["a steps count"].problem)
    assert "length limit" in str(rows["cut while it thought"].problem)


def test_a_question_that_a_planner_cannot_read_is_one_invalid_call(asked: Ask) -> None:
    class Short(Scripted):
        def _generate(self, *arguments: Any, **options: Any) -> ChatResult:
            msg = "the conversation has 5000 tokens, but the model reads 4096"
            raise RequestError(msg)

    (row,) = asked(Planner("p", Short(answers=[])), pairs=paper_pairs()[:1])
    assert (row.declined, row.call) == (False, None)
    assert "reads 4096" in str(row.problem)


def test_calls_are_drawn_with_the_pairs_seed_and_equal_ones_once(asked: Ask, tmp_path: Path) -> None:
    backend = PaperBackend(tmp_path / "drawn.log", levels=(0.8, 0.4))
    studio = Studio(backend, BrightnessReward(), tmp_path)
    first, same = Scripted(answers=[calling(FOX, seed=1)]), Scripted(answers=[calling(FOX, seed=2)])
    other, none = Scripted(answers=[calling(FOX, prompt="a cat")]), Scripted(answers=[REFUSAL])
    planners = [Planner(name, one) for name, one in zip("abcd", (first, same, other, none), strict=True)]
    a, b, c, d = asked(*planners, pairs=paper_pairs()[:1], studio=studio)
    assert backend.drawn == [f"{ANIMALS} {seed_of('fox')}"] * 2
    assert a.reward == b.reward == pytest.approx(0.8, abs=0.01)
    assert c.reward == pytest.approx(0.4, abs=0.01)
    assert a.scores == {"brightness": a.reward}
    assert (a.drawn, d.drawn, d.reward) == (True, False, 0.0)


def test_the_mean_of_several_pictures_counts(asked: Ask, tmp_path: Path) -> None:
    backend = PaperBackend(tmp_path / "drawn.log", levels=(0.8, 0.4, 0.3))
    studio = Studio(backend, BrightnessReward(), tmp_path)
    model = Scripted(answers=[calling(FOX)])
    (once,) = asked(Planner("p", model), pairs=paper_pairs()[:1], studio=studio)
    (three,) = asked(Planner("p", model), pairs=paper_pairs()[:1], studio=studio, pictures=3)
    assert (once.pictures, three.pictures) == (1, 3)
    assert once.reward == pytest.approx(0.8, abs=0.01)
    assert three.reward == pytest.approx(0.5, abs=0.01)
    assert three.scores == {"brightness": three.reward}
    assert backend.drawn == [f"{ANIMALS} {seed_of('fox', number)}" for number in range(3)]
    assert len(model.asked) == 1


def test_what_cannot_be_drawn_is_not_drawn(asked: Ask, tmp_path: Path) -> None:
    backend = PaperBackend(tmp_path / "drawn.log")
    (row,) = asked(
        Planner("p", Scripted(answers=[calling(FOX)])),
        pairs=paper_pairs()[2:],
        studio=Studio(backend, BrightnessReward(), tmp_path),
    )
    assert (row.declined, row.reward, row.drawn) == (False, None, False)
    assert backend.drawn == []


def test_a_picture_with_a_fault_is_worth_nothing(asked: Ask, tmp_path: Path) -> None:
    black = Studio(PaperBackend(tmp_path / "log", levels=(-1,)), BrightnessReward(), tmp_path / "a")
    (row,) = asked(Planner("p", Scripted(answers=[calling(FOX)])), pairs=paper_pairs()[:1], studio=black)
    assert (row.reward, row.drawn, row.fault) == (0.0, False, "the picture is black")
    # What fails is drawn once more after an ordinary picture, and what fails among others once more by itself.
    broken = PaperBackend(tmp_path / "log2", faults={n: lambda: BackendError("too large") for n in (1, 3)})
    studio = Studio(broken, BrightnessReward(), tmp_path / "b")
    (row,) = asked(Planner("q", Scripted(answers=[calling(FOX)])), pairs=paper_pairs()[:1], studio=studio)
    assert (row.reward, row.drawn, row.fault) == (0.0, False, "too large")
    faults = {number: lambda: BackendError("too large") for number in (1, 2, 4)}
    one_of_two = PaperBackend(tmp_path / "log3", faults=faults, levels=(0.8,))
    studio = Studio(one_of_two, BrightnessReward(), tmp_path / "c")
    (row,) = asked(Planner("r", Scripted(answers=[calling(FOX)])), pairs=paper_pairs()[:1], studio=studio, pictures=2)
    assert (row.reward, row.drawn, row.fault) == (pytest.approx(0.4, abs=0.01), True, "too large")


def test_missing_weights_end_the_evaluation(asked: Ask, tmp_path: Path) -> None:
    backend = PaperBackend(tmp_path / "log", faults={1: lambda: WeightsError("no file")})
    with pytest.raises(WeightsError, match="no file"):
        asked(Planner("p", Scripted(answers=[calling(FOX)])), studio=Studio(backend, BrightnessReward(), tmp_path))


def test_nothing_is_asked_twice(asked: Ask, tmp_path: Path) -> None:
    model = Scripted(answers=[calling(FOX)])
    before = asked(Planner("p", model))
    assert asked(Planner("p", model)) == before
    assert len(model.asked) == 3
    assert len(rows_in(tmp_path)) == 3


def test_another_planner_or_question_is_asked_again(asked: Ask) -> None:
    model = Scripted(answers=[calling(FOX)])
    asked(Planner("p", model))
    asked(Planner("p", model, version="other weights"))
    assert len(model.asked) == 6
    changed = [pair.model_copy(update={"instruction": pair.instruction + "!"}) for pair in paper_pairs()]
    asked(Planner("p", model, version="other weights"), pairs=changed)
    assert len(model.asked) == 9
    moody = Scripted(answers=[calling(FOX)], mood="warm")
    assert [row.tool for row in asked(Planner("p", moody))] == [FOX] * 3
    assert len(moody.asked) == 3


def test_other_reasons_on_the_shortlist_are_another_question(
    asked: Ask, paper_shortlister: Shortlister, tmp_path: Path
) -> None:
    class Reasoned(Shortlister):
        def shortlist(self, request: str, k: int = 8) -> Shortlist:
            found = super().shortlist(request, k)
            return replace(found, hits=tuple(replace(hit, why=("draws it best",)) for hit in found.hits))

    model = Scripted(answers=[calling(FOX)])
    asked(Planner("p", model))
    reasoned = Reasoned(paper_shortlister.catalog, paper_shortlister.embedder)
    evaluate(paper_pairs(), [Planner("p", model)], reasoned, tmp_path, console=quiet())
    assert len(model.asked) == 6


def test_pictures_are_drawn_later_without_asking_again(asked: Ask, tmp_path: Path) -> None:
    model = Scripted(answers=[calling(FOX), calling(PIZZA), REFUSAL])
    plain = asked(Planner("p", model))
    studio = Studio(PaperBackend(tmp_path / "log"), BrightnessReward(), tmp_path)
    drawn = asked(Planner("p", model), studio=studio)
    assert len(model.asked) == 3
    assert [row.seconds for row in drawn] == [row.seconds for row in plain]
    assert [row.drawn for row in drawn] == [True, True, False]
    assert asked(Planner("p", model)) == drawn


def test_pictures_are_judged_anew_by_another_reward_without_asking_again(asked: Ask, tmp_path: Path) -> None:
    class Generous(BrightnessReward):
        name = "generous"

    model = Scripted(answers=[calling(FOX), calling(PIZZA), REFUSAL])
    backend = PaperBackend(tmp_path / "log")
    before = asked(Planner("p", model), studio=Studio(backend, BrightnessReward(), tmp_path))
    after = asked(Planner("p", model), studio=Studio(backend, Generous(), tmp_path))
    assert [set(row.scores) for row in (before[0], after[0])] == [{"brightness"}, {"generous"}]
    assert len(backend.drawn) == 4
    assert asked(Planner("p", model), studio=Studio(backend, Generous(), tmp_path)) == after
    assert (len(model.asked), len(backend.drawn)) == (3, 4)


def test_an_endpoint_that_fails_ends_the_run_and_keeps_what_is_done(asked: Ask, tmp_path: Path) -> None:
    model = Scripted(answers=[calling(FOX), ConnectionError("refused")])
    with pytest.raises(BackendError, match=r"planner 'p' failed at pair 'pizza': ConnectionError: refused; .* go on"):
        asked(Planner("p", model))
    assert [row.pair for row in rows_in(tmp_path)] == ["fox"]
    model.answers = [calling(FOX)]
    assert len(asked(Planner("p", model))) == 3
    assert len(model.asked) == 4


def test_a_question_that_an_endpoint_refuses_is_an_invalid_answer(asked: Ask) -> None:
    refused = RuntimeError("context too long")
    refused.status_code = 400  # type: ignore[attr-defined]
    model = Scripted(answers=[refused, CallError("the call was cut off"), REFUSAL])
    long, cut, tax = asked(Planner("p", model))
    assert (long.declined, long.problem) == (False, "RuntimeError: context too long")
    assert (cut.declined, cut.problem) == (False, "CallError: the call was cut off")
    assert tax.declined


def test_an_instruction_that_serving_refuses_is_declined_unasked(asked: Ask) -> None:
    model = Scripted(answers=[calling(FOX)])
    (row,) = asked(Planner("p", model), pairs=[paper_pairs()[0].model_copy(update={"instruction": "?!"})])
    assert (row.declined, row.offered, row.fits, model.asked) == (True, (), False, [])


def test_an_interrupt_keeps_what_is_done(asked: Ask, tmp_path: Path) -> None:
    model = Scripted(answers=[calling(FOX), KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        asked(Planner("p", model))
    assert [row.pair for row in rows_in(tmp_path)] == ["fox"]


def long_evaluation(folder: Path, step_seconds: float) -> subprocess.Popen[str]:
    return started("tests.finetune.dabench.long_evaluation", folder, step_seconds)


def test_after_kill_9_nothing_is_asked_or_drawn_again(tmp_path: Path) -> None:
    log = tmp_path / "drawn.log"
    killed = long_evaluation(tmp_path, 0.1)
    kill_after(killed, log, 3, seconds=120)
    kept = rows_in(tmp_path)
    assert 2 <= len(kept) <= 4
    with (tmp_path / FILE_NAME).open("a") as file:
        file.write('{"planner":"popularity","pair":"te')

    output, _ = long_evaluation(tmp_path, 0.0).communicate(timeout=120)
    assert output == "12\n"
    rows = rows_in(tmp_path)
    assert rows[: len(kept)] == kept
    assert len({row.key for row in rows}) == len(rows) == 12
    # The drawing that was killed was begun again, no other one.
    drawn = log.read_text().splitlines()
    assert len(drawn) == len(set(drawn)) + 1
