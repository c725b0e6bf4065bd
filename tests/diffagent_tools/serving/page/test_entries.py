from __future__ import annotations

from diffagent_tools.serving.page.entries import MAX_HISTORY, Attempt, Entry, read, with_entry, written

PICTURE = {"sha256": "a" * 64, "width": 64, "height": 64, "path": "/home/someone/picture.png"}


def attempt(n: int, **changes: object) -> Attempt:
    about = {"n": n, "model": "civitai:1@1", "call": {}, "reference": PICTURE, "reward": 0.5, "seconds": 1.0}
    return Attempt.model_validate({**about, "verdict": "ok", "reason": "good", **changes})


def test_a_history_is_read_back_as_it_was_and_holds_no_path_of_the_server() -> None:
    entry = Entry(request="a fox", status="accepted", best=1, attempts=(attempt(1),))
    kept = written([entry])
    assert read(kept) == [entry]
    assert "someone" not in str(kept)


def test_what_a_browser_sends_is_not_trusted() -> None:
    good = written([Entry(request="a fox", status="failed")])
    wrong_picture = written([Entry(request="a cat", attempts=(attempt(1),))])
    wrong_picture[0]["attempts"][0]["picture"]["sha256"] = "../../etc/passwd"  # type: ignore[index, call-overload]
    assert [one.request for one in read([*good, *wrong_picture, 7, None, {"request": []}])] == ["a fox"]
    assert read("nonsense") == []


def test_a_request_that_was_cut_off_counts_as_stopped() -> None:
    assert read(written([Entry(request="a fox", attempts=(attempt(1),))]))[0].status == "stopped"


def test_the_newest_stands_first_and_the_oldest_go() -> None:
    history: list[Entry] = []
    for n in range(MAX_HISTORY + 2):
        history = with_entry(history, Entry(key=str(n), request=str(n)))
    assert len(history) == MAX_HISTORY
    assert history[0].request == str(MAX_HISTORY + 1)
    history = with_entry(history, history[3].changed(status="accepted"))
    assert history[3].status == "accepted"
    assert len(history) == MAX_HISTORY


def test_overlong_words_are_cut_instead_of_refused() -> None:
    event = {"event": "outcome", "status": "failed", "reason": "x", "best": None}
    entry = Entry(request="a" * 10_000).after(event)
    assert len(entry.request) == 4000
    assert entry.status == "failed"


def test_the_best_attempt_stands_for_a_request() -> None:
    entry = Entry(request="a fox", attempts=(attempt(1), attempt(2), attempt(3, reference=None)))
    assert entry.shown == attempt(2)
    assert entry.changed(best=1).shown == attempt(1)
