import json
import subprocess
import sys
from pathlib import Path

import pytest

from finetune.pocket.recipe import FULL
from finetune.pocket.render import font_path
from finetune.pocket.train import WORLD_FOLDERS, install, run
from tool_specs.exceptions import ConfigError

try:
    font_path()
except ConfigError as error:
    pytest.skip(str(error), allow_module_level=True)

COMMAND = [sys.executable, "-m", "finetune.pocket.train", "--quick"]


def test_results_of_another_recipe_are_not_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "recipe").write_text("quick")
    with pytest.raises(SystemExit, match="choose another --out"):
        run(FULL, tmp_path, workers=1)


def test_installing_replaces_the_old_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, package = tmp_path / "world", tmp_path / "package"
    for name in WORLD_FOLDERS:
        (world / name).mkdir(parents=True)
        (world / name / "new").write_text(name)
        (package / name).mkdir(parents=True)
        (package / name / "old").write_text(name)
    monkeypatch.setattr("tool_specs.pocket.POCKET_DIR", package)
    install(world)
    assert sorted(path.name for path in package.rglob("*") if path.is_file()) == ["new"] * len(WORLD_FOLDERS)


@pytest.mark.slow
def test_a_throw_away_world_trains_from_nothing_and_draws(tmp_path: Path) -> None:
    from diffagent_tools.backends import DiffusersBackend
    from tool_specs.calls import to_call
    from tool_specs.catalog import Catalog

    subprocess.run([*COMMAND, "--out", str(tmp_path)], check=True, timeout=500)
    world = tmp_path / "pocket"
    catalog = Catalog.from_records(json.loads(path.read_text()) for path in sorted((world / "records").glob("*.json")))
    backend = DiffusersBackend(
        catalog, files=lambda spec: world / "weights" / spec.primary_file.name, configs={"pocket": world / "config"}
    )
    network = next(spec for spec in catalog if spec.model_name == "Pocket Pixel Art")
    words = {"prompt": "a fox on a red background", "seed": 1, "steps": 2}
    plain = backend.draw(to_call(catalog.get("civitai:9001@9101"), words))
    styled = backend.draw(
        to_call(catalog.get("civitai:9001@9101"), {**words, "loras": [{"id": network.id, "weight": 1.0}]})
    )
    assert plain.image.size == (64, 64)
    assert plain.image.tobytes() != styled.image.tobytes()

    # Everything is there already: a second run has nothing to train.
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").glob("*.jsonl")}
    subprocess.run([*COMMAND, "--out", str(tmp_path)], check=True, timeout=100)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "work").glob("*.jsonl")} == before
