"""From evidence to a data set: read, filter, find near-duplicates, split, write instructions."""

from __future__ import annotations

import hashlib
import importlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from finetune.dabench.calls import Dropped, ids_in, read_call
from finetune.dabench.card import LICENCE, card
from finetune.dabench.chat_writer import ChatWriter
from finetune.dabench.descriptions import names_in, ordinary_words, plain_description
from finetune.dabench.duplicates import clusters
from finetune.dabench.filters import reason_against
from finetune.dabench.mapping import Sourced, read_archive
from finetune.dabench.pairs import Pair, write_pairs
from finetune.dabench.splits import Member, Shares, assign
from finetune.dabench.writers import GivenWriter, InstructionWriter, RuleWriter
from tool_specs.calls import Call
from tool_specs.exceptions import ConfigError
from tool_specs.home import home_folder
from tool_specs.naming import parse_spec_id
from tool_specs.ranking.texts import words
from tool_specs.spec import ContentRating
from tool_specs.store.batches import BATCH, batches
from tool_specs.store.database import CatalogDatabase
