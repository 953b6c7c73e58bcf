"""What a sweep found, as a configuration that can stand in ``tuned/``."""

from __future__ import annotations

from datetime import UTC, datetime

import yaml

from fedrec.runs.settings import SEED
from fedrec.sweep.file import SweepFile
from fedrec.sweep.ledger import Trial


def as_configuration(sweep: SweepFile, best: Trial, trials: int) -> str:
    """The best trial's options but the seed, below a comment that says where they come from.

    Args:
        sweep: The sweep.
        best: Its best trial.
        trials: How many trials it has.
    """
    files = [word.removeprefix("--config=") for word in sweep.fit_arguments if word.endswith(".yaml")]
    day = f"{datetime.now(tz=UTC):%Y-%m-%d}"
    name = sweep.content.get("name", sweep.path.stem)
    head = (
        f"# {name}: trial {best.number} of {trials}, {sweep.metric} {best.best:.4f} with seed "
        f"{best.parameters.get(SEED, 0)}, {day}.\n# After {' and '.join(files)}.\n"
    )
    options = {key: value for key, value in best.parameters.items() if key != SEED}
    return head + yaml.safe_dump(options, sort_keys=True)
