"""Files of claims: what is refused, with file, line and key, and what those that are shipped say."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedrec.claims.file import Setting
from fedrec.claims.plan import Plan
from fedrec.claims.reading import read_claims
from fedrec.claims.verdict import Asserted
from fedrec.errors import InputError

SHIPPED = sorted((Path(__file__).parents[2] / "claims").glob("*.yaml"))
GOOD = """\
title: Two claims
source: a table
protocol: fedrecgel
seeds: [0, 1]
run: fedrecgel
data: filmtrust
claims:
  high:
    says: it reaches 0.918
    metric: sampled HR@10
    value: 0.918
    tolerance: 0.01
  better:
    says: every radius helps
    run: {method: fedrecgel, configs: [raised/filmtrust_fedrecgel.yaml], options: {model.client.rho_private: 0.0}}
    than: fedncf
    metric: full NDCG@10
    by: 0.01
    each: {model.client.rho_shared: [0.05, 0.1]}
"""
# What is wrong -> (text of the good file, what stands there instead, message).
REFUSED = {
    "no YAML": ("title: Two claims", "title: [", r"line \d+: not valid YAML"),
    "a list": (GOOD, "- 1", r"claims\.yaml: the file is \[1\]; expected a mapping with title, "),
    "empty": (GOOD, "", r"claims\.yaml: the file is empty; expected a mapping with title, "),
    "a figure of thousands of digits": (
        "HR@10",
        "HR@" + "9" * 5000,
        r"claims\.high\.metric is 'sampled HR@9+'; expected a",
    ),
    "no claims": (GOOD, "title: x\n", r"claims\.yaml: claims is missing; expected claims by their names"),
    "no title": ("title: Two claims\n", "", r"claims\.yaml: title is missing; expected text"),
    "unknown key": ("source: a", "sauce: a", r"line 2: sauce: no such key; expected one of title, source,"),
    "unknown key of a claim": ("    value:", "    valu:", r"line 11: claims\.high\.valu: no such key"),
    "name": ("  high:", "  High one:", r"line 8: claims\.High one is 'High one'; expected a name of small letters"),
    "protocol": ("protocol: fedrecgel", "protocol: best", r"line 3: protocol is 'best'; expected one of fair"),
    "seeds": ("[0, 1]", "[0, 0]", r"line 4: seeds is \[0, 0\]; expected different whole numbers"),
    "a seed that fit refuses": ("[0, 1]", "[4294967296]", r"line 4: seeds is \[4294967296\]; .* below 4,294,967,296,"),
    "negative seed": ("[0, 1]", "[-1]", r"line 4: seeds is \[-1\]"),
    "seeds no list": ("[0, 1]", "3", r"line 4: seeds is 3; expected different whole numbers"),
    "data": ("data: filmtrust", "data: filmtrast", r"line 6: data is 'filmtrast'; expected the name"),
    "method": ("than: fedncf", "than: fedncff", r"line 16: claims\.better\.than\.method is 'fedncff'"),
    "configuration": ("raised/filmtrust", "raised/x", r"line 15: .*configs is 'raised/x_fedrecgel\.yaml'"),
    "metric": ("sampled HR@10", "HR@10", r"line 10: claims\.high\.metric is 'HR@10'; expected a figure"),
    "cut-off": ("sampled HR@10", "sampled HR@7", r"claims\.high\.metric is 'sampled HR@7'"),
    "no words": ("    says: it reaches 0.918\n", "", r"line 8: claims\.high\.says is missing; expected the claim"),
    "no source": ("source: a table\n", "", r"claims\.high\.source is missing; expected where the claim stands"),
    **{
        f"{key} in per cent": (
            f"{key}: 0.",
            f"{key}: 90.",
            rf"\.{key} is 90\.\d+; expected a number of 0 to 1, such as 0\.5",
        )
        for key in ("value", "tolerance", "by")
    },
    "value below 0": (
        "value: 0.918",
        "value: -0.1",
        r"line 11: claims\.high\.value is -0\.1; expected a number of",
    ),
    "a file for a data set": (
        "data: filmtrust",
        "data: my.csv",
        r"line 6: data is 'my\.csv'; .*for a file of yours write a data configuration \(README, Your own data\)",
    ),
    "value of text": ("value: 0.918", "value: high", r"line 11: claims\.high\.value is 'high'; expected a number"),
    "neither": ("    value: 0.918\n", "", r"claims\.high\.than is missing; expected one of value .* and than"),
    "both": ("    by: 0.01", "    value: 0.01", r"line 16: claims\.better\.than is 'given beside value'; expected one"),
    "by without than": ("value: 0.918", "value: 0.918\n    by: 1", r"claims\.high\.than is missing; expected"),
    "negative tolerance": ("tolerance: 0.01", "tolerance: -1", r"line 12: claims\.high\.tolerance is -1; .*of 0 to 1"),
    "cost of text": ("    by: 0.01", "    cost: much", r"claims\.better\.cost is 'much'; expected true, of a claim"),
    "cost of a figure": (
        "    value: 0.918",
        "    value: 0.918\n    cost: true",
        r"claims\.high\.than is missing; expected",
    ),
    "exposure of nothing": ("full NDCG@10", "exposure@10", r"metric is 'exposure@10'; expected it of settings that"),
    "each of one": ("[0.05, 0.1]", "0.05", r"line 19: claims\.better\.each\.model.* is 0\.05; .* list"),
    "options of a file": (
        "source: a",
        "options: [1]\nsource: a",
        r"line 2: options is \[1\]; expected options of fedrec",
    ),
    **{
        f"{key} among options": (
            "    than: fedncf",
            f"    options: {{{key}: 1}}\n    than: fedncf",
            rf"line 16: claims\.better\.options\.{key}: no option of a claim; expected {expected}",
        )
        for key, expected in {"data.protocol": "protocol", "seed_everything": "seeds", "config": "configs"}.items()
    },
    "a protocol of each": (
        "model.client.rho_shared: [0.05, 0.1]",
        "data.protocol: [fair]",
        r"line 19: claims\.better\.each\.data\.protocol: no option of a claim; expected protocol instead",
    ),
    "each twice": ("[0.05, 0.1]", "[0.1, 0.10]", r"line 19: claims\.better\.each\.model.*; expected different values"),
    "promotion without options": (
        "    metric: full NDCG@10",
        "    options: {model.uploads: [{class_path: Promotion, init_args: null}]}\n    metric: exposure@10",
        r"metric is 'exposure@10'; expected it of settings that promote one item",
    ),
    "option of a claim": (
        "    than: fedncf",
        "    options: {rho private: 1}\n    than: fedncf",
        r"line 16: claims\.better\.options\.rho private is .*expected the dotted",
    ),
    "most popular items have no such figure": (
        "metric: sampled HR@10\n    value: 0.918",
        "metric: unsteadiness of NDCG@10\n    than: most popular",
        r"line 10: claims\.high\.metric is 'unsteadiness .*; expected a figure that most popular items have",
    ),
    "no option": ("model.client.rho_private:", "rho private:", r"options\.rho private is .*expected the dotted"),
    "value of a run": (
        "metric: sampled HR@10",
        "metric: unsteadiness of NDCG@10",
        r"claims\.high\.than is missing; expected the method that this one is held against",
    ),
}


def write(folder: Path, old: str = "", new: str = "") -> Path:
    assert old in GOOD
    path = folder / "claims.yaml"
    path.write_text(GOOD.replace(old, new, 1) if old else GOOD)
    return path


def test_a_good_file(tmp_path: Path) -> None:
    high, *better = read_claims(write(tmp_path)).claims
    assert (high.name, high.data, high.seeds, high.source) == ("high", "filmtrust", (0, 1), "a table")
    assert high.asserted == Asserted(value=0.918, tolerance=0.01)
    assert [claim.name for claim in better] == ["better, rho shared 0.05", "better, rho shared 0.1"]
    assert better[1].asserted == Asserted(by=0.01)
    assert better[1].than == Setting("fedncf")
    options = {"model.client.rho_private": 0.0, "model.client.rho_shared": 0.1}
    assert better[1].run == Setting("fedrecgel", ("raised/filmtrust_fedrecgel.yaml",), options)


def test_options_of_the_file_and_of_a_claim_are_those_of_all_its_runs(tmp_path: Path) -> None:
    path = write(
        tmp_path, "    than: fedncf", "    options: {model.client.lr: 0.2, data.negatives: 3}\n    than: fedncf"
    )
    shared = "options: {model.client.rho_private: 9.0, model.client.lr: 0.1, model.server.lr: 0.3}\n"
    path.write_text(shared + path.read_text())
    high, better, _ = read_claims(path).claims
    assert high.run.options == {"model.client.rho_private": 9.0, "model.client.lr": 0.1, "model.server.lr": 0.3}
    of_claim = {"model.client.lr": 0.2, "model.server.lr": 0.3, "data.negatives": 3}
    assert better.than is not None
    assert better.than.options == {"model.client.rho_private": 9.0, **of_claim}
    assert better.run.options == {"model.client.rho_private": 0.0, "model.client.rho_shared": 0.05, **of_claim}


def test_options_that_are_shared_name_the_same_runs_as_options_that_are_repeated(tmp_path: Path) -> None:
    repeated = write(
        tmp_path,
        GOOD[GOOD.index("    run: {") : GOOD.index("    metric: full")],
        "    run: {method: fedrecgel, options: {data.negatives: 3, model.client.lr: 0.2}}\n"
        "    than: {method: fedncf, options: {model.client.lr: 0.2, data.negatives: 3}}\n",
    )
    names = [job.name for job in Plan(read_claims(repeated), tmp_path, []).jobs()]
    text = repeated.read_text().replace("data.negatives: 3, ", "").replace(", data.negatives: 3", "")
    repeated.write_text(text.replace("  better:\n", "  better:\n    options: {data.negatives: 3}\n"))
    assert [job.name for job in Plan(read_claims(repeated), tmp_path, []).jobs()] == names


def test_claims_share_what_they_are_held_against(tmp_path: Path) -> None:
    repeated = read_claims(write(tmp_path)).claims
    path = write(tmp_path, "    than: fedncf\n    metric: full NDCG@10\n    by: 0.01\n", "    metric: full NDCG@10\n")
    path.write_text("than: fedncf\nby: 0.01\n" + path.read_text())
    assert read_claims(path).claims == repeated  # of them the first has a value
    path.write_text(path.read_text().replace("    metric: full", "    than: most popular\n    metric: full"))
    assert read_claims(path).claims[1].asserted == Asserted(by=None)
    path.write_text(path.read_text().replace("fedncf", "fedncff", 1).replace("    than: most popular\n", ""))
    with pytest.raises(InputError, match=r"claims\.yaml, line 1: than\.method is 'fedncff'"):
        read_claims(path)


def test_by_without_than_is_refused_for_all_claims_too(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text("by: 0.01\n" + path.read_text())
    with pytest.raises(InputError, match=r"claims\.yaml, line 1: by is 0\.01; expected it in claims, or beside a than"):
        read_claims(path)


def test_most_popular_items_are_no_run_of_their_own(tmp_path: Path) -> None:
    with_fedncf = read_claims(write(tmp_path))
    with_popular = read_claims(write(tmp_path, "than: fedncf", "than: most popular"))
    claim = with_popular.claims[1]
    assert (claim.than, claim.over_popular, claim.other) == (None, True, "most popular")
    assert claim.asserted == Asserted(by=0.01)
    runs, fewer = ({job.name for job in Plan(file, tmp_path, []).jobs()} for file in (with_fedncf, with_popular))
    assert fewer < runs
    assert all("-fedncf-" in name for name in runs - fewer)


@pytest.mark.parametrize("fault", REFUSED)
def test_what_means_nothing_is_one_message(fault: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=REFUSED[fault][2]) as error:
        read_claims(write(tmp_path, *REFUSED[fault][:2]))
    assert str(error.value).startswith(str(tmp_path / "claims.yaml"))
    assert "\n" not in str(error.value)


def test_an_option_that_fit_would_not_take_is_refused_before_anything_starts(tmp_path: Path) -> None:
    plan = Plan(read_claims(write(tmp_path, "rho_private: 0.0", "rho_private: -1.0")), tmp_path, [], False)
    with pytest.raises(
        InputError, match=r"claims\.yaml: claims\.better, rho shared 0\.05: .*a radius is a finite number"
    ):
        plan.check()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_file_is_taken_by_fit(path: Path, tmp_path: Path) -> None:
    Plan(read_claims(path), tmp_path, [], False).check()


def test_runs_are_shared_and_named_by_what_they_compute(tmp_path: Path) -> None:
    file = read_claims(write(tmp_path))
    names = [job.name for job in Plan(file, tmp_path, ["--data.root=here"], False).jobs()]
    # FedRecGEL, tuned with either radius, and FedNCF: 2 protocols x 2 seeds each; and one repeat, for fair has none.
    assert len(names) == len(set(names)) == 4 * 4 + 1
    assert names == [job.name for job in Plan(file, tmp_path, ["--data.root=there"], False).jobs()]
    quick = Plan(file, tmp_path, [], True).jobs()
    assert len(quick) == 4 * 2 + 1
    assert not {job.name for job in quick} & set(names) - {name for name in names if "repeat" in name}
    assert all("--trainer.max_epochs=2" in job.command for job in quick if "repeat" not in job.name)
    (more, *_) = Plan(file, tmp_path, ["--trainer.max_epochs=7"], True).jobs()
    rounds = [word.partition("=")[2] for word in more.command if "max_epochs" in word]
    assert rounds == ["2", "7"]  # the last word counts


def test_the_repeat_reference_is_of_the_data_of_a_claim(tmp_path: Path) -> None:
    options = "options: {data.evaluate_users: 20, model.client.lr: 0.1}\nclaims:"
    plan = Plan(read_claims(write(tmp_path, "claims:", options)), tmp_path, ["--data.split_seed=3"], False)
    for claim in plan.file.claims:
        repeat = plan.repeat(claim, "fedrecgel")
        assert repeat
        about = [word for word in repeat.command if word.startswith(("--data.", "--model."))]
        assert about == ["--data.protocol=fedrecgel", "--data.evaluate_users=20", "--data.split_seed=3"]
