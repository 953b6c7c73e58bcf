"""What a sweep found, as a configuration that can stand in ``tuned/``."""

from __future__ import annotations

import yaml

from fedrec.runs.settings import SEED
from fedrec.sweep.file import SELECT, SweepFile
from fedrec.sweep.ledger import Trial

# Options that say how trials are measured, and nothing of the method: whoever takes the settings chooses them anew.
MEASURED_BY = ("data.protocol", SELECT)


def as_configuration(sweep: SweepFile, best: Trial, trials: int, day: str) -> str:
    """The best trial's settings, below a comment that says where they come from and how they were measured.

    Args:
        sweep: The sweep.
        best: Its best trial.
        trials: How many trials it has.
        day: On which the last one ended.
    """
    files = [word.removeprefix("--config=") for word in sweep.fit_arguments if word.endswith(".yaml")]
    measured = "".join(f", {key} {best.parameters[key]}" for key in MEASURED_BY if key in best.parameters)
    head = (
        f"# {sweep.name}: trial {best.number} of {trials}, {sweep.metric} {best.best:.4f} with seed "
        f"{best.parameters.get(SEED, 0)}, {day}.\n# After {' and '.join(files)}{measured}.\n"
    )
    settings = {key: value for key, value in best.parameters.items() if key not in (SEED, *MEASURED_BY)}
    return head + yaml.safe_dump(settings, sort_keys=True)
