"""What a running request tells whoever watches it (`stream_mode="custom"`).

Every event is a plain dict with the key `event`:

- `shortlist`: `fits`, `models`, `networks`, `nearest`
- `call`: `attempt`, `model`, `tool`, `arguments`
- `step`: `attempt`, `step`, `total`, while a picture is being drawn
- `weights`: `what` is done with a weights file (found, downloaded, checked), `done` and `total` in bytes
- `retry`: `attempt`, `reason`, when the same call is drawn again after a passing fault
- `attempt`: `attempt`, and all of the finished `Attempt`
- `outcome`: `status`, `reason`, `best` (number of the best attempt, or `None`)

The bigger graphs run the agent in branches: the events above carry the key `branch` as well, which is the model's id in
`graphs.compare` and the shot's number, as text, in `graphs.storyboard`. Their own events have none:

- `models` (compare): `models` that draw, `seed` that all start from
- `comparison` (compare, at its end): `status`, `reason`, `ranking` (`model` and `reward`, best first), `sheet`
- `shots` (storyboard): `shots` in words, `style`
- `cast` (storyboard): `models` (one for each shot, or `None`), `networks` of all, `seed` that all descend from
- `storyboard` (storyboard, at its end): `status`, `reason`, `shots` (`n` and `status`), `sheet`
- `critique` (refine): `attempt` it is for, `base` (the attempt it changes), `changes`, `denoising_strength`, `why`
"""

from __future__ import annotations

from diffagent_tools.progress import Emit, Event, emitter

__all__ = ["Emit", "Event", "emitter", "tell_of_weights"]


def tell_of_weights(what: str, done: int, total: int) -> None:
    """Send how far a weights file is on its way to the node that draws."""
    emitter()({"event": "weights", "what": what, "done": done, "total": total})
