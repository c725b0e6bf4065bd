from finetune.pocket.tokenizer import build_tokenizer
from finetune.pocket.world import (
    BACKGROUNDS,
    HELD_OUT_PERCENT,
    SUBJECTS,
    Scene,
    all_subjects,
    caption,
    domain_of,
    held_out,
    vocabulary,
)


def test_subjects_are_unique_over_domains() -> None:
    assert len(all_subjects()) == sum(len(subjects) for subjects in SUBJECTS.values())
    assert all(domain_of(subject) == domain for domain, subjects in SUBJECTS.items() for subject in subjects)


def test_captions_are_made_of_the_vocabulary() -> None:
    words = set(vocabulary())
    for subject in all_subjects():
        for background in BACKGROUNDS:
            for wording in range(4):
                assert set(caption(subject, background, wording).replace(",", "").split()) <= words


def test_held_out_pairs_are_a_small_share_of_every_domain() -> None:
    for subjects in SUBJECTS.values():
        share = sum(held_out(s, b) for s in subjects for b in BACKGROUNDS) / (len(subjects) * len(BACKGROUNDS))
        assert 0.5 * HELD_OUT_PERCENT < 100 * share < 1.8 * HELD_OUT_PERCENT


def test_standard_caption_of_a_scene() -> None:
    assert Scene("owl", "night sky").caption == "an owl under a night sky"
    assert Scene("grapes", "orange").caption == "grapes on an orange background"


def test_every_word_is_one_token_and_other_text_survives(tmp_path) -> None:
    tokenizer = build_tokenizer(tmp_path)
    assert [word for word in vocabulary() if len(tokenizer(word).input_ids) != 3] == []
    pieces = tokenizer("zebra 8-bit").input_ids[1:-1]
    assert tokenizer.unk_token_id not in pieces[:-1]
    assert tokenizer.decode(pieces).replace(" ", "") == "zebra8-bit"
