"""Planners by the name that a person gives on the command line: `retrieval`, `sft=local:runs/sft` and the like."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from diffagent_tools.serving.endpoint import API_KEY_VARIABLE
from finetune.dabench.pairs import TRAINING, read_pairs
from tool_specs.exceptions import ConfigError

if TYPE_CHECKING:
    from finetune.dabench.evaluation import Planner
    from tool_specs.search.shortlist import AnyShortlister

_NAMED: Final = re.compile(r"(?:(?P<name>[\w.+-]{1,60})=)?(?P<kind>\w+)(?::(?P<argument>.+))?")
_ENDPOINT: Final = re.compile(r"(?P<url>https?://[^/\s:]+(?::\d+)?(?:/[^\s:]*)?):(?P<model>\S+)")
_CREDENTIALS: Final = re.compile(r"(?<=//)[^/\s]*@")


@dataclass(frozen=True, slots=True)
class Source:
    """What planners are made of.

    Attributes:
        shortlister: Finds what is offered; baselines look up their tools with it.
        dataset: Folder of the pairs, whose split `TRAINING` baselines learn from.
    """

    shortlister: AnyShortlister
    dataset: Path


def planners_of(names: Sequence[str], source: Source) -> list[Planner]:
    """Make planners.

    Args:
        names: `KIND` or `KIND:ARGUMENT`, with or without `NAME=` before it, which is what rows and tables call it. The
            kinds are those of `KINDS`.
        source: What they are made of.

    Raises:
        ConfigError: A kind is unknown, its argument is missing or wrong, two planners have one name, or a package is
            not installed.
    """
    planners = [_planner(name, source) for name in names]
    twice = next((one.name for n, one in enumerate(planners) if one.name in {p.name for p in planners[:n]}), None)
    if twice is not None:
        msg = f"two planners are called {twice!r}; name one of them: other={twice}"
        raise ConfigError(msg)
    return planners


def _planner(text: str, source: Source) -> Planner:
    match = _NAMED.fullmatch(text.strip())
    if match is None or match["kind"] not in KINDS:
        kinds = ", ".join(KINDS)
        msg = f"{_shown(text)} is no planner; write one of {kinds}, or NAME=KIND:ARGUMENT"
        raise ConfigError(msg)
    return KINDS[match["kind"]](match["name"] or text.strip(), match["argument"] or "", source)


def _random(name: str, argument: str, source: Source) -> Planner:
    from finetune.dabench.baselines import RandomPlanner
    from finetune.dabench.evaluation import Planner

    if argument and not argument.isdecimal():
        msg = f"the planner {name!r} has {argument!r} for a seed; write a whole number, for example random:1"
        raise ConfigError(msg)
    found = source.shortlister
    return Planner(name, RandomPlanner(catalog=found.catalog, shortlister=found, seed=int(argument or 0)))


def _retrieval(name: str, argument: str, source: Source) -> Planner:
    from diffagent_tools.chat_models.retrieval import RetrievalChatModel
    from finetune.dabench.evaluation import Planner

    _takes_nothing(name, argument)
    return Planner(name, RetrievalChatModel(catalog=source.shortlister.catalog, shortlister=source.shortlister))


def _popularity(name: str, argument: str, source: Source) -> Planner:
    from finetune.dabench.baselines import PopularityPlanner

    return _trained(PopularityPlanner, name, argument, source)


def _nearest(name: str, argument: str, source: Source) -> Planner:
    from finetune.dabench.baselines import NearestPromptPlanner

    return _trained(NearestPromptPlanner, name, argument, source)


def _trained(kind: type, name: str, argument: str, source: Source) -> Planner:
    from finetune.dabench.evaluation import Planner

    _takes_nothing(name, argument)
    model = kind(
        catalog=source.shortlister.catalog, shortlister=source.shortlister, pairs=read_pairs(source.dataset, TRAINING)
    )
    return Planner(name, model, version=_stamp([source.dataset / f"{TRAINING}.parquet"]))


def _local(name: str, argument: str, source: Source) -> Planner:  # noqa: ARG001 - it brings all it needs
    from diffagent_tools.chat_models.local import LocalChatDiffAgent
    from finetune.dabench.evaluation import Planner

    model = LocalChatDiffAgent(folder=Path(argument)) if argument else LocalChatDiffAgent()
    return Planner(name, model, version=_stamp_of_folder(name, model.folder))


def _endpoint(name: str, argument: str, source: Source) -> Planner:  # noqa: ARG001 - it brings all it needs
    match = _ENDPOINT.fullmatch(argument)
    if match is None or _CREDENTIALS.search(argument):
        msg = (
            f"{_shown(argument)} is no endpoint: write endpoint:http://HOST:PORT/v1:MODEL, and put a "
            f"key into {API_KEY_VARIABLE}"
        )
        raise ConfigError(msg)
    from diffagent_tools.chat_models.diffagent import ChatDiffAgent
    from finetune.dabench.evaluation import Planner

    return Planner(name, ChatDiffAgent(model=match["model"], base_url=match["url"]), version=match["url"])


def _closed_book(name: str, argument: str, source: Source) -> Planner:
    from finetune.dabench.evaluation import Planner
    from finetune.dabench.free_writer import FreeWriter

    kind, _, rest = argument.partition(":")
    if kind == "endpoint":
        return replace(_endpoint(name, rest, source), closed_book=True)
    if kind != "local" or not rest:
        msg = (
            f"the planner {name!r} cannot be asked without tools; write closed_book:local:FOLDER with the folder of "
            "its weights, or closed_book:endpoint:http://HOST:PORT/v1:MODEL"
        )
        raise ConfigError(msg)
    model = FreeWriter(folder=Path(rest))
    return Planner(name, model, version=_stamp_of_folder(name, model.folder), closed_book=True)


KINDS: Final[Mapping[str, Callable[[str, str, Source], Planner]]] = {
    "retrieval": _retrieval,
    "popularity": _popularity,
    "nearest": _nearest,
    "random": _random,
    "endpoint": _endpoint,
    "local": _local,
    "closed_book": _closed_book,
}
"""Kind to what makes it of its name, its argument and the source."""


def _takes_nothing(name: str, argument: str) -> None:
    if argument:
        msg = f"the planner {name!r} takes no argument, but has {argument!r}; leave it out"
        raise ConfigError(msg)


def _shown(text: str) -> str:
    """What was written, without a password in an address."""
    return repr(_CREDENTIALS.sub("", text))


def _stamp_of_folder(name: str, folder: Path) -> str:
    if not folder.is_dir():
        msg = f"the planner {name!r} has no folder {folder}; write local:FOLDER with the folder of its weights"
        raise ConfigError(msg)
    return _stamp(path for path in folder.rglob("*") if path.is_file())


def _stamp(paths: Iterable[Path]) -> str:
    """Stands for files: another stamp means that one was written anew."""
    facts = sorted((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
