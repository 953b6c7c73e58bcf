"""Which runs claims need: every method under its authors' protocol and under ``fair``, with every seed, each once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fedrec.claims.file import Claim, ClaimsFile, Setting
from fedrec.cli.arguments import data_configuration
from fedrec.cli.quick import cut_short
from fedrec.data.protocol.presets import PRESETS
from fedrec.errors import InputError
from fedrec.jobs.runs import ReferenceRun, TestedRun
from fedrec.report.rows import PLACES

FAIR = "fair"


class Plan:
    """The runs of a file of claims.

    Two claims about the same method share its runs: a run's name says data, method and protocol and holds a hash of all
    options but where files are.

    Args:
        file: The claims.
        out: Folder of all runs.
        further: Further options of ``fedrec fit``, each with its value in one word.
        quick: One seed and two rounds at most, unless further options say more, to see that everything works;
            figures then say nothing.
        seeds: How many of a claim's seeds to take, the first ones; None: all.
    """

    def __init__(
        self, file: ClaimsFile, out: Path, further: Sequence[str], quick: bool = False, seeds: int | None = None
    ) -> None:
        self.file = file
        self._out, self._further, self._quick = out, list(further), quick
        self._seeds = 1 if quick else seeds

    def seeds(self, claim: Claim) -> tuple[int, ...]:
        """Training seeds of a claim's runs."""
        return claim.seeds[: self._seeds]

    def runs(self, claim: Claim, setting: Setting, protocol: str) -> list[TestedRun]:
        """The runs of one method of a claim under a protocol, a seed each."""
        files = [data_configuration(claim.data), f"method/{setting.method}.yaml", *setting.configs]
        options = [f"--{name}={_word(value)}" for name, value in sorted(setting.options.items())]
        own = [*(f"--config={name}" for name in files), f"--data.protocol={protocol}", *options]
        own += [*(cut_short(own) if self._quick else ()), *self._further]
        name = f"{Path(claim.data).stem}-{setting.method}-{protocol}-{_digest(own)}"
        return [
            TestedRun(self._out, f"{name}-{seed}", [*own, f"--seed_everything={seed}"]) for seed in self.seeds(claim)
        ]

    def repeat(self, claim: Claim, protocol: str) -> TestedRun | None:
        """The run of the reference that recommends what a user already has; none where that can never be held out."""
        if PRESETS[protocol].duplicates == "drop":
            return None
        options = [f"--{name}={_word(value)}" for name, value in sorted(claim.run.options.items())]
        about_data = [word for word in (*options, *self._further) if word.startswith("--data.")]
        own = [f"--config={data_configuration(claim.data)}", f"--data.protocol={protocol}", *about_data]
        return ReferenceRun(self._out, f"{Path(claim.data).stem}-repeat-{protocol}-{_digest(own)}-0", "repeat", own)

    def jobs(self) -> list[TestedRun]:
        """All runs, those of all claims with the first seed before those with the second."""
        by_name: dict[str, TestedRun] = {}
        order: list[tuple[int, TestedRun]] = []
        for claim, setting, protocol in self.settings():
            order += enumerate(self.runs(claim, setting, protocol))
            repeat = self.repeat(claim, protocol)
            order += [(0, repeat)] if repeat else []
        for _, run in sorted(order, key=lambda placed: placed[0]):
            by_name.setdefault(run.name, run)
        return list(by_name.values())

    def settings(self) -> Iterator[tuple[Claim, Setting, str]]:
        """Every claim's methods under every protocol under which it is measured."""
        for claim in self.file.claims:
            for protocol in protocols(claim):
                for setting in (claim.run, claim.than):
                    if setting is not None:
                        yield claim, setting, protocol

    def check(self) -> None:
        """Try all options on the parser of ``fedrec fit``, before anything starts.

        Raises:
            InputError: Naming the file, the claim and what ``fit`` would not take.
        """
        from fedrec.cli.rehearsal import Rehearsal  # Lightning takes seconds

        rehearsal, tried = Rehearsal(), set()
        for claim, setting, protocol in self.settings():
            run = self.runs(claim, setting, protocol)[0]
            if run.name in tried or run.done:
                continue
            tried.add(run.name)
            try:
                rehearsal.rehearse(run.command)
            except InputError as error:
                given = " with the options of this command" if self._further else ""
                raise InputError(f"{self.file.path}: claims.{claim.name}{given}: {error}") from None


def protocols(claim: Claim) -> tuple[str, ...]:
    """Under which protocols a claim is measured: its authors' and ``fair``."""
    return tuple(dict.fromkeys((claim.protocol, FAIR)))


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _digest(options: Sequence[str]) -> str:
    told = [option for option in options if option.partition("=")[0] not in PLACES]
    return hashlib.blake2b(json.dumps(told).encode(), digest_size=3).hexdigest()
