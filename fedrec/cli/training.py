"""``fedrec fit | validate | test | predict``: the wiring of Lightning's command line, and nothing else."""

from __future__ import annotations

import argparse
import logging
import shlex
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse.typing import NonNegativeInt
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.strategies import SingleDeviceStrategy

from fedrec.cli.arguments import prepare
from fedrec.cli.callbacks import check_monitors, monitoring
from fedrec.cli.ending import said_at_the_end
from fedrec.cli.messages import one_sentence
from fedrec.cli.options import GROUPS, OWN, SEVERAL, TRAINER_DEFAULTS, Parser, check_trainer, parts
from fedrec.cli.resumed import as_option, limited_imports
from fedrec.cli.values import check_values
from fedrec.data.audit.audit import audit_split
from fedrec.data.audit.text import short
from fedrec.data.datamodule import FederatedData
from fedrec.data.options import worded
from fedrec.errors import InputError
from fedrec.evaluation.measures import CUTOFFS
from fedrec.evaluation.results import said_users
from fedrec.federation import FederatedRecommender
from fedrec.precision import BFLOAT16, BFloat16Products
from fedrec.runs.changes import named_rates
from fedrec.runs.checkpoints import WholeCheckpoints, load_checkpoint, rounds_done
from fedrec.runs.folder import RunFolder
from fedrec.runs.identity import check_settings
from fedrec.runs.progress import checkpoint_to_resume
from fedrec.runs.saved import names_to_trust, read_run
from fedrec.strategy import FederatedDDP
from fedrec.tracking.recorder import RoundRecorder
from fedrec.tracking.results import TestReport
from fedrec.tracking.start import RunStart


def main(argv: Sequence[str]) -> FederatedCLI:
    """Run a subcommand.

    Args:
        argv: The subcommand, then its options.

    Returns:
        The command line with what it made: ``folder``, ``trainer``, ``model``, ``datamodule``.

    Raises:
        InputError: If an option, a configuration, a file or a checkpoint is wrong.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # no tips, no list of absent accelerators
    for text in (".*does not have many workers.*", ".*treespec, LeafSpec.*"):  # neither is the user's to mend
        warnings.filterwarnings("ignore", message=text)
    arguments = prepare(argv)
    try:
        if not arguments.run:
            return FederatedCLI(arguments.argv)
        config = read_run(arguments.run, GROUPS, arguments.trusted, arguments.said)
        with limited_imports(arguments.trusted, arguments.typed):
            return FederatedCLI([arguments.argv[0], as_option(config), *arguments.argv[1:]], arguments.run)
    except MisconfigurationException as error:
        raise InputError(f"trainer: {' '.join(str(error).split())}") from None
    except InputError as error:
        raise worded(error, lambda group, field: f"--data.{group}.{field}") from error.__cause__


class FederatedCLI(LightningCLI):
    """Lightning's command line for one module, any data module, and runs with a folder each.

    Args:
        argv: The subcommand, then its options.
        run: Folder of the run to go on with or to load.
    """

    def __init__(self, argv: list[str], run: Path | None = None) -> None:
        self._resumed = RunFolder.existing(run) if run else None
        self._command = argv[0]
        self._said = {word.removeprefix("--").partition("=")[0] for word in argv}
        strict = {"prog": "fedrec", "allow_abbrev": False}
        super().__init__(
            FederatedRecommender,
            FederatedData,
            save_config_callback=None,
            trainer_defaults=TRAINER_DEFAULTS,
            parser_class=Parser,
            parser_kwargs=strict | {self._command: {"allow_abbrev": False}},
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            args=argv,
        )

    # ------------------------------------------------------------------ options

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """The subcommand, and the arguments of the trainer's method that are no options.

        A parser takes a tenth of a second to make, so the others are left out.
        """
        common = {"model", "datamodule", "dataloaders", "weights_only", "verbose", "return_predictions"}
        fit = {"train_dataloaders", "val_dataloaders", "ckpt_path"} if self._command == "fit" else set()
        return {self._command: common | fit}

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The training seed, an integer."""
        parser.add_argument("--seed_everything", type=NonNegativeInt, default=0, help="The training seed.")

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """What fedrec adds: resuming, checkpoints, progress, predictions, the seed of the model."""
        for option, value, text in (
            ("--resume", "RUNDIR", "Go on with this run (fit), or load its best round (the other commands)."),
            ("--trust", "CLASS", "With --resume: a class, not of fedrec, that the run's configuration may name."),
        ):
            parser.add_argument(option, metavar=value, default=argparse.SUPPRESS, help=text)
        for name, made in OWN.items():
            parser.add_lightning_class_args(made, name)
        parser.link_arguments("seed_everything", "model.seed")
        if self._command == "fit":
            parser.epilog = SEVERAL

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and take the checkpoint out: Lightning would let what a checkpoint says override the command line."""
        try:
            self.config = parser.parse_args(args)
        except OverflowError:  # the parser's own conversion of a whole number to one with decimals
            raise InputError("a whole number among the options is too large; expected less than 1e308") from None
        chosen = self.config[self.config.subcommand]
        path = chosen.pop("ckpt_path", None)
        check_values({name: value for name, value in chosen.as_dict().items() if name in GROUPS}, GROUPS)
        self._named_checkpoint = Path(path) if path else None

    def instantiate_classes(self) -> None:
        """Make data module, module and trainer; what a class says of a bad value is not buried in type names."""
        try:
            super().instantiate_classes()
        except ValueError as error:
            if not str(error).startswith("Does not validate against"):
                raise
            raise InputError(one_sentence(str(error), (), parts())) from None

    # ------------------------------------------------------------------ the trainer

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the trainer, its run folder and what records the run; nothing is written yet.

        Raises:
            InputError: If the data, the checkpoint or an option of the trainer cannot be used.
        """
        given = self._get(self.config_init, "trainer")
        check_trainer(given)
        if self.subcommand == "fit":
            check_monitors(_listed(given.callbacks), self._get(self.config_init, "checkpoint").select)
        if not (self._resumed and self.datamodule.root):  # a folder does not say where to put a download
            self.datamodule.prepare_data()
        self.datamodule.setup(self.subcommand)
        self.folder = self._resumed or RunFolder.new(Path(given.default_root_dir or "."))
        self.recorder: RoundRecorder = self._get(self.config_init, "checkpoint")
        self.recorder.open(self.folder)
        content = yaml.safe_load(self.parser.dump(self.config, skip_unset=False))[self.subcommand]
        self._trust = "".join(f" --trust {path}" for path in names_to_trust(content, GROUPS))
        self.checkpoint = self._checkpoint_to_load(content)
        audit = short(audit_split(self.datamodule.interactions, self.datamodule.split))
        ours: list[Callback] = [RunStart(self.folder, content, audit, use_wandb=given.logger in (None, True))]
        if self.subcommand == "test" and self.checkpoint:
            ours.append(TestReport(self.folder, self.checkpoint))
        rounded = given.precision == BFLOAT16
        try:
            trainer = super().instantiate_trainer(
                callbacks=[*ours, *_listed(given.callbacks)],
                logger=[logger for logger in _listed(given.logger) if not isinstance(logger, bool)] or False,
                plugins=[*_listed(given.plugins), WholeCheckpoints(), *([BFloat16Products()] if rounded else [])],
                precision=None if rounded else given.precision,
                enable_progress_bar=True,
                **({"strategy": FederatedDDP()} if given.strategy == "ddp" else {}),
            )
        except (ValueError, TypeError, ImportError) as error:
            raise InputError(f"trainer: {' '.join(str(error).split())}") from None
        if given.enable_progress_bar is False:
            self._get(self.config_init, "progress").disable()
        if not isinstance(trainer.strategy, FederatedDDP | SingleDeviceStrategy):
            raise InputError(
                f"trainer.strategy={given.strategy} with trainer.devices={given.devices}: expected auto for one "
                "process, ddp for several"
            )
        return trainer

    def _checkpoint_to_load(self, config: Mapping[str, Any]) -> Path | None:
        """The last checkpoint of the run to go on with; to measure, the one that was named, else the run's best."""
        fits = self.subcommand == "fit"
        if fits:
            path = checkpoint_to_resume(self.folder, self.recorder.every_n_rounds) if self._resumed else None
        else:
            path = self._named_checkpoint or (self.folder.best if self._resumed else None)
            if path is None:
                raise InputError(f"{self.subcommand}: expected a trained model: --resume RUNDIR, or --ckpt_path FILE")
        if path:
            checkpoint = load_checkpoint(path)
            check_settings(path, checkpoint, config, self._said if fits else named_rates(self.folder))
            done, rounds = rounds_done(checkpoint), self._get(self.config_init, "trainer").max_epochs
            if fits and 0 <= rounds < done:
                raise InputError(f"trainer.max_epochs={rounds}: the run has {done} rounds already")
            if fits and done == rounds:
                resume = f"fedrec fit --resume {shlex.quote(str(self.folder.path))}{self._trust}"
                more = f"{resume} --trainer.max_epochs {2 * rounds}"
                print(f"finished: all {rounds} rounds are done; to train on, for example to {2 * rounds}: {more}")
        return path

    # ------------------------------------------------------------------ the subcommands

    def fit(self, model: LightningModule, datamodule: LightningDataModule) -> None:
        """Train, from the start or from a run's last checkpoint."""
        with monitoring():
            self.trainer.fit(model, datamodule=datamodule, ckpt_path=self.checkpoint)
        if self.trainer.is_global_zero:
            callbacks = _listed(self._get(self.config_init, "trainer").callbacks)
            for line in said_at_the_end(self.trainer, callbacks, self.recorder, self.folder, self._trust):
                print(line)

    def validate(self, model: LightningModule, datamodule: LightningDataModule) -> None:
        """Measure a checkpoint on the selection items and print the metrics."""
        self.trainer.validate(model, datamodule=datamodule, ckpt_path=self.checkpoint, verbose=False)
        if self.trainer.is_global_zero:
            metrics = self.trainer.callback_metrics
            split = self.datamodule.split
            about = {"users": len(split.evaluated), "all_users": split.num_held_out}
            print(f"{self.checkpoint}: {split.selection_on} items of {said_users(about)}")
            for ranking, name in {"": "sampled", "full_": "full"}.items():
                if f"val/{ranking}hr_{CUTOFFS[0]}" not in metrics:
                    continue
                for k in CUTOFFS:
                    of = (f"{m.upper()} {metrics[f'val/{ranking}{m}_{k}']:.4f}" for m in ("hr", "ndcg", "mrr"))
                    print(f"{name} @{k:<3}", *of)

    def test(self, model: LightningModule, datamodule: LightningDataModule) -> None:
        """Measure a checkpoint on the test items, beside most popular items and the mean-private model."""
        self.trainer.test(model, datamodule=datamodule, ckpt_path=self.checkpoint, verbose=False)

    def predict(self, model: LightningModule, datamodule: LightningDataModule) -> None:
        """Write every user's best unseen items."""
        self.trainer.predict(model, datamodule=datamodule, ckpt_path=self.checkpoint, return_predictions=False)


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]
