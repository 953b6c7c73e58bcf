"""A stand-in for ``fedrec fit`` that takes milliseconds: it writes a run folder like the real one and trains nothing.

Tests of the sweep's driver let trials run this module in the place of ``fedrec``. Its objective is
``x * (1 + round / 100)``; among all items it is the better the smaller x is: ``(1 - x) * (1 - round / 100)``. Each
round it appends the round to ``rounds.log`` beside the run folders, so that a test sees whether work was done twice.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

ROUNDS = 20
HEAD = "round,val/ndcg_10_best,val/full_ndcg_10_best,val/ndcg_10,val/full_ndcg_10"
SECONDS_PER_ROUND = 0.02


def main() -> None:
    arguments = sys.argv[2:]
    if arguments[0] == "--resume":
        run = Path(arguments[1])
        options = json.loads((run / "config.yaml").read_text())
        start = int((run / "checkpoints" / "last.ckpt").read_text())
        lines = (run / "metrics.csv").read_text().splitlines()[: start + 1]
        (run / "metrics.csv").write_text("\n".join(lines) + "\n")
    else:
        options = json.loads(Path(arguments[-2]).read_text())
        root = Path(arguments[-1].removeprefix("--trainer.default_root_dir="))
        run = root / "runs" / os.environ["WANDB_RUN_ID"]
        (run / "checkpoints").mkdir(parents=True)
        trainer = {"max_epochs": ROUNDS, "callbacks": options.get("callbacks")}
        own = {name: value for name, value in options.items() if "." not in name}
        (run / "config.yaml").write_text(json.dumps({**own, "trainer": trainer}))
        (run / "metrics.csv").write_text(HEAD + "\n")
        (run / "fingerprint.json").write_text(json.dumps({"fingerprint": 8 * "9e"}))
        start = 0
    if options.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if options["x"] < 0:
        sys.exit("x must not be negative")
    for number in range(start, options.get("rounds", ROUNDS)):
        time.sleep(SECONDS_PER_ROUND)
        with (run / "metrics.csv").open("a") as file:
            sampled, full = options["x"] * (1 + number / 100), (1 - options["x"]) * (1 - number / 100)
            file.write(f"{number + 1},{sampled},{1 - options['x']},{sampled},{full}\n")
        with (run.parent / "rounds.log").open("a") as file:
            file.write(f"{run.name} {number}\n")
        part = run / "checkpoints" / "last.ckpt.part"
        part.write_text(str(number + 1))
        part.replace(run / "checkpoints" / "last.ckpt")
    if options.get("damage"):
        (run / options["damage"]).write_text("damaged\n")


if __name__ == "__main__":
    main()
