"""What the shipped weights can do, on a few pictures; `make pocket-report` measures it on many."""

from __future__ import annotations

import pytest

from diffagent_tools.backends import DiffusersBackend
from finetune.pocket.drawing import pocket_call
from finetune.pocket.judge import StyleJudge, SubjectJudge
from finetune.pocket.records import STYLE_IDS
from finetune.pocket.render import font_path
from finetune.pocket.report import held_out_scenes
from finetune.pocket.world import STYLES, SUBJECTS
from tool_specs.catalog import Catalog
from tool_specs.exceptions import ConfigError
from tool_specs.pocket import POCKET_DIR, pocket_planner
from tool_specs.spec import LoraUse

BUDGET = 48_000_000
FIRST_SEED = 810_000

pytestmark = pytest.mark.skipif(
    not (POCKET_DIR / "records").is_dir(), reason="the pocket world is not in the package: make pocket-train"
)

try:
    font_path()
except ConfigError as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.pocket()


@pytest.fixture(scope="module")
def backend(catalog: Catalog) -> DiffusersBackend:
    return DiffusersBackend(catalog)


def test_what_draws_and_judges_stays_small() -> None:
    files = [path for path in POCKET_DIR.glob("**/*.safetensors") if pocket_planner() not in path.parents]
    assert len(files) == len(SUBJECTS) + len(STYLES) + 2
    assert sum(path.stat().st_size for path in files) <= BUDGET


@pytest.mark.slow
def test_the_right_checkpoint_draws_the_subject(catalog: Catalog, backend: DiffusersBackend) -> None:
    shown = [(domain, scene) for domain in SUBJECTS for scene in held_out_scenes(domain, 4)]
    pictures = [
        backend.draw(pocket_call(catalog, domain, scene.caption, (), FIRST_SEED + n)).image
        for n, (domain, scene) in enumerate(shown)
    ]
    named = SubjectJudge(variants=1).subjects(pictures)
    assert sum(name == scene.subject for name, (_, scene) in zip(named, shown, strict=True)) >= 0.7 * len(shown)


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
def test_a_style_lora_brings_pictures_of_every_checkpoint_nearer_to_its_style(
    catalog: Catalog, backend: DiffusersBackend, style: str
) -> None:
    judge = StyleJudge(renders=100)
    nearer = 0
    for n, domain in enumerate(SUBJECTS):
        scene, seed = held_out_scenes(domain, 1)[0], FIRST_SEED + 100 + n
        use = LoraUse(id=STYLE_IDS[style], weight=1.0)
        before = backend.draw(pocket_call(catalog, domain, scene.caption, (), seed)).image
        after = backend.draw(pocket_call(catalog, domain, f"{style}, {scene.caption}", (use,), seed)).image
        nearer += judge.nearer(style, before, after)
    assert nearer >= 3


def test_no_file_names_a_folder_of_the_machine_that_made_it() -> None:
    texts = [path for path in POCKET_DIR.rglob("*") if path.suffix in (".json", ".md", ".jinja", ".txt")]
    assert len(texts) > 5
    assert [path for path in texts if '": "/' in path.read_text(encoding="utf-8")] == []
