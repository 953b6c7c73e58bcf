"""Names of methods and settings."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from fedrec.analysis import load_runs
from fedrec.analysis.naming import methods, reading_order, settings, varying_settings
from fedrec.runs.settings import said
from tests.analysis.folders import config, write_run


def test_a_method_is_what_its_configuration_calls_it_whatever_its_radii() -> None:
    rows = [
        ("FedRecGEL", "NCF", 0.0, "FedRecGEL"),
        ("FedNCF", "NCF", 0.1, "FedNCF"),
        (None, "NCF", 0.1, "NCF + LocalTraining + MeanServer"),
        (np.nan, "PFedRec", 0.0, "PFedRec + LocalTraining + MeanServer"),
    ]
    frame = pd.DataFrame(
        rows, columns=["model.method", "model.recommender", "model.client.rho_shared", "name"], index=range(10, 14)
    ).assign(**{"model.client": "LocalTraining", "model.server": "MeanServer"})
    assert methods(frame).tolist() == frame["name"].tolist()
    assert methods(frame).index.equals(frame.index)
    assert methods(frame.drop(columns=["model.method", "model.client", "model.server"])).tolist()[:2] == ["NCF", "NCF"]


def test_settings_are_named_by_method_and_by_what_varies_within_it(tmp_path: Path) -> None:
    gel, ncf = "FedRecGEL", "FedNCF"
    write_run(tmp_path, "a", config(rho_shared=0.1, rho_private=0.1, server_lr=0.01, rounds=300, method=gel), [0.1])
    write_run(tmp_path, "b", config(rho_shared=0.1, server_lr=0.001, rounds=100, seed=3, method=gel), [0.1])
    write_run(tmp_path, "c", config(client_lr=0.5, method=ncf), [0.1])
    write_run(tmp_path, "d", config(client_lr=0.5, seed=1, method=ncf), [0.1])
    frame = load_runs(tmp_path)
    assert settings(frame).tolist() == [
        "FedRecGEL, rho private 0.1, server lr 0.01, rounds 300",
        "FedRecGEL, rho private 0, server lr 0.001, rounds 100",
        "FedNCF",
        "FedNCF",
    ]
    assert varying_settings(frame[frame["run"].isin(["c", "d"])]) == []


def test_values_that_are_no_numbers_are_said() -> None:
    values = [None, True, "joint"]
    frame = pd.DataFrame({"model.recommender": "NCF", "model.client.perturb": pd.Series(values, dtype=object)})
    assert settings(frame).tolist() == ["NCF", "NCF, perturb true", "NCF, perturb joint"]


def test_rows_that_are_left_out_do_not_change_the_order() -> None:
    frame = pd.DataFrame({"model.recommender": "NCF", "model.client.lr": [1e-3, 10.0, 0.5, 0.02]})
    names = settings(frame)
    assert list(names.cat.categories) == [f"NCF, client lr {value}" for value in ("0.001", "0.02", "0.5", "10")]
    assert list(names[1:].cat.categories) == list(names.cat.categories)


@given(st.lists(st.one_of(st.integers(0, 10**6), st.floats(0, 100)), min_size=1))
def test_numbers_within_names_are_ordered_by_size(values: list[float]) -> None:
    in_order = reading_order(f"lr {value:g}" for value in values)
    sizes = [float(name.removeprefix("lr ")) for name in in_order]
    assert all(one <= two + 1e-9 for one, two in itertools.pairwise(sizes))
    assert len(in_order) == len(set(in_order))
    assert reading_order(values) == sorted(set(values))


def test_a_part_that_a_run_has_not_is_not_said() -> None:
    privacy = ["UserLevelPrivacy", None, "UserLevelPrivacy", "UserLevelPrivacy"]
    columns = {
        "model.recommender": "NCF",
        "model.privacy": privacy,
        "model.privacy.epsilon": [8.0, None, None, 2.0],
        "model.privacy.noise_multiplier": [None, None, 1.0, None],
        "model.privacy.bound": [0.2, None, 0.2, 0.2],
        "model.uploads": ["[]", '[{"class_path": "a.TopK", "init_args": {"ratio": 0.1, "number": null}}]', "[]", "[]"],
    }
    frame = pd.DataFrame(columns)
    assert settings(frame).tolist() == ["NCF, epsilon 8", "NCF, TopK", "NCF, noise multiplier 1", "NCF, epsilon 2"]
    assert settings(frame.replace("[]", None)).tolist() == settings(frame).tolist()
    assert settings(frame[:2]).tolist() == ["NCF, UserLevelPrivacy", "NCF, TopK"]
    neither = frame[:2].assign(**{"model.privacy.epsilon": None})
    noisy = pd.concat([frame[2:3], neither], ignore_index=True)
    assert settings(noisy).tolist() == ["NCF, noise multiplier 1", "NCF, UserLevelPrivacy", "NCF, TopK"]


def test_arguments_are_said_where_they_vary_among_runs_of_a_class() -> None:
    def row(server: str, uploads: list[tuple[str, dict[str, Any]]], **arguments: object) -> dict[str, object]:
        listed = [{"class_path": f"a.{name}", "init_args": own} for name, own in uploads]
        own = {f"model.server.{name}": value for name, value in arguments.items()}
        return {"model.method": "FedMF", "model.server": server, **own, "model.uploads": json.dumps(listed)}

    push, clip = {"share": 0.1, "item": 7}, ("Clip", {"bound": 1.0})
    frame = pd.DataFrame(
        [
            row("MeanServer", [], lr=1.0, rows_over="clients"),
            row("MeanServer", [clip], lr=1.0, rows_over="clients"),
            row("KrumServer", [("Promotion", push)], lr=0.5, rows_over="clients", attackers=0.2, selected=None),
            row("KrumServer", [("Promotion", push), clip], lr=0.5, rows_over="clients", attackers=0.2, selected=0.8),
            row("MedianServer", [("Promotion", {**push, "share": 0.0})], lr=0.5, rows_over="senders", limit_mib=9),
            row("MedianServer", [("Around", {"steps": [{"class_path": "a.Clip"}]})], lr=0.5, rows_over="clients"),
        ]
    )
    assert settings(frame).tolist() == [
        "FedMF, MeanServer",
        "FedMF, MeanServer, Clip bound 1",
        "FedMF, KrumServer, Promotion share 0.1",
        "FedMF, KrumServer, selected 0.8, Promotion share 0.1, Clip bound 1",
        "FedMF, MedianServer, rows over senders, limit mib 9, Promotion share 0",
        "FedMF, MedianServer, rows over clients, Around (Clip)",
    ]


arguments = st.fixed_dictionaries({}, optional={"a": st.sampled_from([None, 1, 2.5]), "b": st.booleans()})
steps = st.lists(st.tuples(st.sampled_from("XY"), arguments), max_size=2)
runs = st.tuples(st.sampled_from([None, "P", "Q"]), st.sampled_from([None, 1, "z"]), steps)


@given(st.lists(runs, min_size=1, max_size=6))
def test_runs_have_one_name_where_they_have_the_same_settings(drawn: list[Any]) -> None:
    def known(value: dict[str, Any]) -> dict[str, Any]:
        return {name: one for name, one in value.items() if one is not None}

    rows, told = [], []
    for server, argument, listed in drawn:
        uploads = [{"class_path": name, "init_args": own} for name, own in listed]
        row = {"model.server": server, "model.server.a": argument if server else None}
        rows.append({"model.method": "M", **row, "model.uploads": json.dumps(uploads, sort_keys=True)})
        told.append(json.dumps([row, [[name, known(own)] for name, own in listed]], sort_keys=True))
    names = settings(pd.DataFrame(rows)).tolist()
    assert [a == b for a, b in itertools.combinations(names, 2)] == [a == b for a, b in itertools.combinations(told, 2)]


def test_steps_around_steps_are_said_in_few_words() -> None:
    inner = [{"class_path": "a.TopK", "init_args": {"ratio": 0.01}}, {"class_path": "a.Quantise"}]
    step = {"class_path": "a.ErrorFeedback", "init_args": {"limit_mib": 9.0, "steps": inner}}
    assert said("model.uploads", [step]) == "uploads ErrorFeedback (TopK ratio 0.01, Quantise)"
    assert said("model.betas", [0.9, 0.99]) == "betas [0.9, 0.99]"
