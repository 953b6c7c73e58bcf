"""Noise on clients: on every number, of the stated distribution, a function of the client; only after clipping."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from dp_accounting import get_epsilon_gaussian
from scipy.stats import kstest
from torch import Tensor

from fedrec.errors import InputError
from fedrec.uploads import Between, Clip, LocalNoise, UnclippedNoise, UploadStep
from tests.uploads.problems import exchange, in_full, some, upload

MEAN = Between("LocalTraining", "MeanServer", "mean")


def noise(step: LocalNoise, number: int = 0, clients: int = 6) -> Tensor:
    """What is added to each client's upload, dense parameters and whole tables."""
    given = upload(1, clients)
    step.begin_round(exchange(number))
    return in_full(step.on_client(given)) - in_full(given.whole())


@pytest.mark.parametrize(("kind", "law"), [("gaussian", "norm"), ("laplace", "laplace")])
def test_every_number_of_every_client_has_noise_of_the_stated_law(kind: Any, law: str) -> None:
    step = LocalNoise(1e4, kind)  # large, so that no digit of it is lost beside the uploads
    drawn = torch.stack([noise(step, number) for number in range(200)]) / 1e4  # [round, client, number]
    assert drawn.shape == (200, 6, 5 + 21)
    assert kstest(drawn.flatten().numpy(), law).pvalue > 1e-3
    for column in (*drawn.mT.flatten(0, 1)[:4], drawn[:, 0, -1], drawn[:, 5, 0]):
        assert kstest(column.numpy(), law).pvalue > 1e-4
    correlations = torch.corrcoef(drawn.flatten(1).T) - torch.eye(6 * 26)
    assert correlations.abs().max() < 6 / math.sqrt(200)


def test_a_clients_noise_is_its_own_whoever_shares_the_bucket() -> None:
    step, given = LocalNoise(1.0), upload(1, 6)
    step.begin_round(exchange(3))
    together = in_full(step.on_client(given))
    for place in range(6):
        alone = in_full(step.on_client(some(given, torch.arange(6) == place)))
        assert torch.equal(alone[0], together[place])
    assert not torch.equal(noise(step, 4), noise(step, 3))


def test_scale_0_sends_the_same_numbers_as_whole_tables() -> None:
    given, step = upload(2, 5), LocalNoise(0.0)
    step.begin_round(exchange())
    sent = step.on_client(replace(given, encodings=given.encoded().each(lambda form: replace(form, bits=4))))
    assert torch.equal(in_full(sent), in_full(given.whole()))
    assert (sent.rows, sent.encodings) == ({}, None)
    assert sent.total_bytes() == given.total_bytes()
    assert sent.touched_bytes().tolist() == [4 * (5 + 21)] * 5, "whole tables travel, whatever the client has"


def test_epsilon_of_one_upload() -> None:
    gaussian, laplace = LocalNoise(3.0, delta=1e-4), LocalNoise(3.0, "laplace")
    gaussian.check(replace(MEAN, before=[Clip(0.5)]))
    laplace.check(replace(MEAN, before=[Clip(0.5, order=1), Clip(9.0, order=1)]))
    assert gaussian.metrics()["local_epsilon"] == pytest.approx(get_epsilon_gaussian(3.0 / (2 * 0.5), 1e-4))
    assert laplace.metrics()["local_epsilon"] == pytest.approx(2 * 0.5 / 3.0)
    silent = LocalNoise(0.0)
    silent.check(replace(MEAN, before=[Clip(0.5)]))
    assert silent.metrics()["local_epsilon"] == math.inf


def test_the_published_noise_says_that_it_guarantees_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    step = UnclippedNoise()
    step.check(MEAN)
    step.plan(None, None)
    assert "gives no guarantee" in capsys.readouterr().out
    assert step.metrics()["local_epsilon"] == math.inf
    assert (step.kind, step.scale) == ("laplace", 0.5)


class Doubling(UploadStep):
    def on_client(self, upload: Any) -> Any:
        return upload


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ([], r"gaussian noise of LocalNoise hides nothing without clipping; expected Clip with order=2 before it"),
        ([Clip(1.0, order=1)], r"gaussian noise of LocalNoise hides nothing without clipping"),
        ([Clip(1.0), Doubling()], r"Doubling between Clip and LocalNoise may undo the clipping"),
    ],
)
def test_noise_without_clipping(before: list[UploadStep], said: str) -> None:
    with pytest.raises(InputError, match=rf"^model\.uploads: {said}"):
        LocalNoise().check(replace(MEAN, before=before))


@pytest.mark.parametrize(
    "given", [{"scale": -1.0}, {"scale": math.inf}, {"kind": "uniform"}, {"delta": 0.0}, {"delta": 1.0}]
)
def test_options_out_of_range(given: dict[str, Any]) -> None:
    (name,) = given
    with pytest.raises(InputError, match=rf"^model\.uploads: LocalNoise: {name}="):
        LocalNoise(**given)
