"""`diffagent search` and `diffagent show` over the user's own catalog."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.graphs.cli.test_commands import Run
from tests.graphs.paper_world import ANIMALS
from tests.stored_models import STYLES, THEMES, furnish, prove, put, record
from tool_specs.store.database import CatalogDatabase


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """The folder of the catalog in the home that `run` uses, furnished."""
    folder = tmp_path / "home" / "catalog"
    furnish(folder)
    with CatalogDatabase.open(folder) as database:
        put(
            database,
            record(90, "Fort [bold]Gone[/]", tags=["castle"], mode="TakenDown"),
            record(91, "Keep", tags=["castle"], allowCommercialUse=[]),
            record(92, "Big Castle", tags=["castle"], size_kb=20e6),
            record(93, "Bare Castle", tags=["castle"], level=4),
        )
        prove(database, [("a castle on a hill at dawn", number) for number in (90, 91, 92, 93)])
    return folder


def ids(found: list[dict[str, object]]) -> list[str]:
    return [str(one["id"]) for one in found]


@pytest.mark.usefixtures("catalog")
def test_the_users_catalog_is_searched(run: Run) -> None:
    document = run("search", "a castle on a hill at sunset", "--json").document
    assert ids(document["models"])[0] == "civitai:1@11"
    assert document["fits"] is True
    assert document["error"] is None
    assert {one["id"] for one in document["networks"]} == {"civitai:11@111", "civitai:12@121"}
    assert "excluded" not in document
    people = run("search", "a castle on a hill at sunset")
    assert people.code == 0
    assert "Fortress" in people.stdout
    assert "it drew such requests" in people.stdout
    assert "Paper" not in people.stdout


@pytest.mark.usefixtures("catalog")
def test_the_models_that_ship_can_be_searched_beside_it(run: Run) -> None:
    assert ids(run("search", "a fox", "--pocket", "--json").document["models"])[0] == ANIMALS


def test_without_a_catalog_the_models_that_ship_are_searched(run: Run) -> None:
    assert ids(run("search", "a fox", "--json").document["models"])[0] == ANIMALS


@pytest.mark.usefixtures("catalog")
@pytest.mark.parametrize("memory", ["inf", "nan"])
def test_memory_is_a_number(run: Run, memory: str) -> None:
    result = run("search", "a castle", "--memory", memory)
    assert result.code == 2
    assert f"{memory} is no number of gigabytes" in result.stderr


@pytest.mark.usefixtures("catalog")
def test_a_name_that_is_no_text(run: Run) -> None:
    result = run("show", "\udcff")
    assert result.code == 2
    assert "diffagent: " in result.stderr


@pytest.mark.usefixtures("catalog")
def test_why_names_what_is_kept_out(run: Run) -> None:
    document = run("search", "a castle on a hill", "--why", "--json").document
    reasons = {one["id"]: one["reason"] for one in document["excluded"]}
    assert reasons["civitai:90@901"] == "its files cannot be had any more (TakenDown)"
    assert reasons["civitai:93@931"] == "its content is rated mature"
    people = run("search", "a castle on a hill", "--why").stdout
    assert "kept out" in people
    assert "civitai:90@901" in people
    assert "kept out" not in run("search", "a castle on a hill").stdout


@pytest.mark.usefixtures("catalog")
@pytest.mark.parametrize(
    ("option", "model", "reason"),
    [
        (["--commercial"], "civitai:91@911", "its pictures may not be sold"),
        (["--memory", "10"], "civitai:92@921", "its file of 20.5 GB does not fit into the device's memory"),
    ],
)
def test_rules_by_option(run: Run, option: list[str], model: str, reason: str) -> None:
    request = ("search", "a castle on a hill", "--json", "--why")
    assert model in ids(run(*request).document["models"])
    document = run(*request, *option).document
    assert model not in ids(document["models"])
    assert {"id": model, "reason": reason} in document["excluded"]


@pytest.mark.usefixtures("catalog")
def test_stronger_content_on_request(run: Run) -> None:
    assert "civitai:93@931" in ids(run("search", "a castle", "--rating", "mature", "--json").document["models"])


@pytest.mark.usefixtures("catalog")
def test_the_limit(run: Run) -> None:
    for option in ("-n", "-k", "--k", "--limit"):
        document = run("search", "a castle on a hill", "--json", option, "1").document
        assert len(document["models"]) == len(document["networks"]) == 1
    assert run("search", "a castle", "-n", "0").code == 2


def test_an_empty_catalog_has_nothing(run: Run, tmp_path: Path) -> None:
    CatalogDatabase.open(tmp_path / "home" / "catalog").close()
    result = run("search", "a castle", "--json")
    assert result.code == 3
    assert result.document["error"]["type"] == "nothing_fits"
    assert run("search", "a castle").code == 3


@pytest.mark.usefixtures("catalog")
def test_requests_that_are_none(run: Run) -> None:
    for arguments in ((), ("",), ("!!!",), ("x" * 2001,)):
        result = run("search", *arguments)
        assert (result.code, result.stderr.count("\n")) == (2, 1), arguments
        assert result.stdout == ""


def test_a_damaged_catalog_is_one_clear_line(run: Run, catalog: Path) -> None:
    (catalog / "catalog.sqlite").write_bytes(b"not a database, and long enough to be looked at " * 50)
    for arguments in (("search", "a castle"), ("show", "1")):
        result = run(*arguments)
        assert (result.code, result.stderr.count("\n")) == (2, 1)
        assert "catalog.sqlite" in result.stderr
        assert "damaged" in result.stderr


@pytest.mark.usefixtures("catalog")
def test_show_what_is_stored(run: Run) -> None:
    for name in ("civitai:1@11", "1"):
        document = run("show", name, "--json").document
        assert document["id"] == "civitai:1@11"
        assert document["not_offered"] is None
        assert document["substitutes"] == []
    assert "Fortress" in run("show", "1").stdout
    # What ships with the package is shown too, where the catalog has nothing of that name.
    assert run("show", ANIMALS, "--json").document["id"] == ANIMALS
    assert run("show", "civitai:77@777").code == 2


@pytest.mark.usefixtures("catalog")
def test_show_names_what_to_use_instead(run: Run) -> None:
    document = run("show", "90", "--json").document
    assert document["not_offered"] == "its files cannot be had any more (TakenDown)"
    instead = document["substitutes"]
    assert len(instead) == 3
    assert instead[0]["id"] in ("civitai:1@11", "civitai:91@911", "civitai:92@921")
    assert {"civitai:90@901", "civitai:93@931"}.isdisjoint(ids(instead))
    assert {"id", "name", "changes"} == instead[0].keys()
    people = run("show", "90").stdout
    assert "not offered" in people
    assert "instead 1" in people
    assert "Fort [bold]Gone[/]" in people


QUERIES = [
    {"id": "a", "text": "a castle on a hill", "type": "Checkpoint"},
    {"id": 7, "text": "a red dragon breathing fire", "type": None, "base_model": None, "more": [1]},
    {"id": "c", "text": "knitted wool", "type": "LORA"},
    {"id": "d", "text": "!?"},
    {"id": "e", "text": "a dragon", "base_model": "SD 1.5", "type": "Checkpoint"},
    {"id": "f", "text": "a dragon", "base_model": "Wan Video"},
    {"id": "g", "text": "龙" * 5000},
    {"id": "h", "text": "a castle \udfff"},
]


@pytest.mark.usefixtures("catalog")
def test_a_line_out_for_each_line_in(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    many = [{**QUERIES[n % len(QUERIES)], "id": f"{n}"} for n in range(150)]
    path.write_text("\n".join(map(json.dumps, many)) + "\n\n  \n")
    result = run("search", "--queries", str(path), "--k", "3", "--json")
    assert (result.code, result.stderr) == (0, "")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["id"] for one in answers] == [str(n) for n in range(150)]
    for n, one in enumerate(answers[: 2 * len(QUERIES)]):
        assert one["hits"] == answers[n % len(QUERIES)]["hits"]
        assert len(one["hits"]) == {5: 0, 2: 2}.get(n % len(QUERIES), 3)
        for hit in one["hits"]:
            assert hit.keys() == {"model_id", "version_id", "score", "why"}
            assert hit["why"]
    # Models that may not be offered are found as well.
    assert {hit["model_id"] for hit in answers[0]["hits"]} <= {1, 90, 91, 92, 93}
    assert 2 in [hit["model_id"] for hit in answers[1]["hits"]]
    assert answers[2]["hits"][0]["model_id"] == 12
    assert answers[4]["hits"][0]["model_id"] == 2


@pytest.mark.usefixtures("catalog")
def test_the_ids_of_queries(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in QUERIES))
    result = run("search", "--queries", str(path))
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == list("a7cdefgh")
    path.write_text("")
    assert run("search", "--queries", str(path), "--json").stdout == ""


GOOD = '{"id": "1", "text": "a castle"}\n'
BAD_LINES = [
    ("{", "is not JSON"),
    ("[" * 200_000, "is not JSON"),
    ("[]", "is no query"),
    ('"text"', "is no query"),
    ('{"id": "2"}', "is no query"),
    ('{"text": "a castle"}', "is no query"),
    ('{"id": "2", "text": 5.5, "type": []}', "is no query"),
    ('{"id": "2", "text": null}', "is no query"),
]


@pytest.mark.usefixtures("catalog")
@pytest.mark.parametrize(("line", "told"), BAD_LINES)
def test_a_bad_line_is_named_with_its_number(run: Run, tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text(f"{GOOD}\n{line}\n{GOOD}")
    result = run("search", "--queries", str(path), "--json")
    assert result.code == 2
    told_to = result.stdout + result.stderr
    assert f"line 3 of {path}" in told_to
    assert told in told_to
    assert result.stderr.count("\n") <= 1
    assert len(told_to) < 1000


@pytest.mark.usefixtures("catalog")
def test_a_type_that_draws_nothing(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text('{"id": "x9", "text": "a castle", "type": "VAE"}')
    result = run("search", "--queries", str(path))
    assert (result.code, result.stderr.count("\n")) == (2, 1)
    assert "'x9'" in result.stderr


@pytest.mark.usefixtures("catalog")
def test_queries_that_cannot_be_read(run: Run, tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.jsonl", tmp_path):
        result = run("search", "--queries", str(path))
        assert (result.code, result.stderr.count("\n")) == (2, 1)
        assert str(path) in result.stderr
    (tmp_path / "queries.jsonl").write_text(GOOD)
    result = run("search", "a castle", "--queries", str(tmp_path / "queries.jsonl"))
    assert (result.code, result.stderr.count("\n")) == (2, 1)
    assert "give one" in result.stderr


def test_queries_without_a_catalog(run: Run, tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text(GOOD)
    result = run("search", "--queries", str(tmp_path / "queries.jsonl"), "--json")
    assert result.code == 2
    assert "diffagent sync" in result.stdout + result.stderr
    assert not (tmp_path / "home" / "catalog").exists()


@pytest.mark.usefixtures("catalog")
def test_every_model_can_be_found(run: Run) -> None:
    for number, (name, _, texts) in (THEMES | STYLES).items():
        document = run("search", texts[0], "--json").document
        assert number in [int(one["id"][8:].split("@")[0]) for one in (*document["models"], *document["networks"])]
        assert name in run("search", texts[0]).stdout
