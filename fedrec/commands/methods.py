"""``fedrec methods DATA``: every method and reference on one data set, several seeds, one table."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from fedrec.commands.further import further_options, note_options
from fedrec.commands.parser import Parser, add_mix_fingerprints, chosen
from fedrec.commands.sweep import enter
from fedrec.data.protocol.presets import PRESETS
from fedrec.errors import InputError
from fedrec.files import write_text
from fedrec.jobs.runs import ReferenceRun, TestedRun, run_all

OWN = {
    **dict.fromkeys(("--config", "-c"), "expected options one by one, and DATA for a data set of yours"),
    "--data.protocol": "say --protocol",
    "--seed_everything": "say how many there are, --seeds",
}
FAIR, SEEDS = "fair", 3
REFERENCES = ("random", "item-knn", "ease")  # most popular items are measured in every test


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: Arguments after ``methods``.

    Returns:
        The exit status: 0, or 1 if a run failed.

    Raises:
        InputError: If an option cannot be used, or runs keep failing.
    """
    options, further = _parser().parse_known_args(argv)
    for name, value in {"--seeds": options.seeds, "--parallel": options.parallel}.items():
        if value is not None and value < 1:
            raise InputError(f"{name} {value}: expected at least 1")
    # --help is not to wait for the parser of options
    from fedrec.cli.arguments import configuration_path, data_configuration, require_data_alone
    from fedrec.cli.quick import cut_short

    data = data_configuration(options.data)
    require_data_alone("fedrec methods, which measures references, too,", configuration_path(data))
    out = options.out or Path("methods") / _folder(data, options)
    every, seeds = _chosen(options.only, data, options.tuned), options.seeds or (1 if options.quick else SEEDS)
    if options.quick:
        every = {name: [*configs, *cut_short(configs)] for name, configs in every.items()}
    fixed = [f"--data.protocol={options.protocol}", *further_options(further, OWN)]
    made_with = [data, *["--tuned"] * options.tuned, *["--quick"] * options.quick, *fixed]
    with ExitStack() as inside:
        enter(out, inside)
        note_options(out, made_with)
        jobs = _jobs(out, every, seeds, fixed)
        jobs += _references(out, data, fixed)
        failed = run_all(jobs, options.parallel)
        from fedrec.report.methods import markdown, method_table  # pandas takes a second
        from fedrec.report.rows import result_rows, write_rows

        rows = result_rows(out, {job.name: job.command for job in jobs})
        write_rows(rows, out / "results.csv")
        table = method_table(rows, options.mix_fingerprints)
        table.to_csv(out / "methods.csv", index=False)
        write_text(out / "methods.md", markdown(table))
        print(markdown(table), end="")
    return 1 if failed else 0


def _jobs(out: Path, files: Mapping[str, Sequence[str]], seeds: int, options: Sequence[str]) -> list[TestedRun]:
    """Every method, by the options that say what it is, with every seed: those with the first seed first."""
    return [
        TestedRun(out, f"{name}-{seed}", [*configs, f"--seed_everything={seed}", *options])
        for seed in range(seeds)
        for name, configs in files.items()
    ]


def _references(out: Path, data: str, options: Sequence[str]) -> list[TestedRun]:
    """The references, which no training seed changes but that of a random order."""
    about_data = [f"--config={data}", *(option for option in options if option.startswith("--data."))]
    return [ReferenceRun(out, f"{name}-0", name, about_data) for name in REFERENCES]


def _folder(data: str, options: Namespace) -> str:
    """Name of a comparison's folder: the data set, and what else it is of."""
    kind = "_tuned" * options.tuned + f"_{options.protocol}" * (options.protocol != FAIR)
    return f"{Path(data).stem}{kind}{'-quick' * options.quick}"


def _chosen(only: str | None, data: str, tuned: bool) -> dict[str, list[str]]:
    """The methods that are to run, each with the words that name its configurations."""
    from fedrec.cli.arguments import SHIPPED, configuration_path, shipped_configurations

    shipped = shipped_configurations()
    if tuned and not configuration_path(data).is_relative_to(SHIPPED):  # a file of the user's may have the same name
        raise InputError(f"--tuned: {data} is no shipped data set, and operating points are of these; leave it out")
    files = {Path(name).stem: [data, name] for name in shipped if name.startswith("method/")}
    if tuned:
        points = {name: f"tuned/{Path(data).stem}_{name}.yaml" for name in files}
        files = {name: [*files[name], point] for name, point in points.items() if point in shipped}
    if not files:
        raise InputError(
            f"--tuned: no configuration tuned/{Path(data).stem}_….yaml; fedrec sweep operating_point finds such"
        )
    names = files if only is None else chosen(only, files, f"method{' with --tuned' * tuned}")
    return {name: [f"--config={file}" for file in files[name]] for name in names}


def _parser() -> Parser:
    parser = Parser(
        allow_abbrev=False,
        prog="fedrec methods",
        description="Train and test every method on one data set with its settings, or tuned ones, measure "
        "random orders, item-kNN and EASE on it, and print one table of results and costs.",
        epilog="Further options go to every `fedrec fit`, such as --data.root DIR or --trainer.max_epochs 20. After "
        "Ctrl-C or a kill the same command goes on: what was tested is not repeated. OUT holds ordinary run folders, "
        "logs, results.csv (a row per run), methods.csv and methods.md (a row per method).",
    )
    parser.add_argument("data", metavar="DATA", help="name of a data set, such as ml-100k, or a configuration of yours")
    parser.add_argument("--out", type=Path, help="folder of the comparison (default: methods/DATA[_tuned][_PROTOCOL])")
    parser.add_argument("--protocol", default=FAIR, choices=sorted(PRESETS), help="protocol (default: fair)")
    parser.add_argument("--seeds", type=int, metavar="N", help=f"training seeds 0 to N - 1 (default: {SEEDS})")
    parser.add_argument("--only", metavar="NAMES", help="methods, with commas between them (default: all shipped)")
    parser.add_argument(
        "--tuned",
        action="store_true",
        help="methods that have an operating point on this data set, tuned/DATA_METHOD.yaml, with it",
    )
    parser.add_argument("--parallel", type=int, default=1, metavar="N", help="runs at a time (default: 1)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one seed and two rounds at most unless other options say more, to see that everything works",
    )
    add_mix_fingerprints(parser)
    return parser
