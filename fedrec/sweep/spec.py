"""One parameter of a sweep file, read as ``wandb sweep`` reads it: keys, defaults, and what they mean together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fedrec.sweep.space import Dimension, Listed, SpecError, Spread, Steps, Whole, is_number

REQUIRED = None
# Distribution -> its keys, with W&B's defaults.
DISTRIBUTIONS: dict[str, dict[str, float | None]] = {
    "constant": {"value": REQUIRED},
    "categorical": {"values": REQUIRED},
    "categorical_w_probabilities": {"values": REQUIRED, "probabilities": REQUIRED},
    "int_uniform": {"min": REQUIRED, "max": REQUIRED},
    "uniform": {"min": REQUIRED, "max": REQUIRED},
    "q_uniform": {"min": REQUIRED, "max": REQUIRED, "q": 1.0},
    "log_uniform_values": {"min": REQUIRED, "max": REQUIRED},
    "inv_log_uniform_values": {"min": REQUIRED, "max": REQUIRED},
    "q_log_uniform_values": {"min": REQUIRED, "max": REQUIRED, "q": 1.0},
    "normal": {"mu": 0.0, "sigma": 1.0},
    "q_normal": {"mu": 0.0, "sigma": 1.0, "q": 1.0},
    "log_normal": {"mu": 0.0, "sigma": 1.0},
    "q_log_normal": {"mu": 0.0, "sigma": 1.0, "q": 1.0},
    "beta": {"a": 1.0, "b": 1.0},
    "q_beta": {"a": 1.0, "b": 1.0, "q": 1.0},
}
DEPRECATED = ("log_uniform", "inv_log_uniform", "q_log_uniform")
ABOVE_ZERO = ("q", "sigma", "a", "b")
EXACT = 2**53  # up to here a float holds every whole number


def read_dimension(spec: Any) -> Dimension:
    """Read one parameter's specification as ``wandb sweep`` does.

    Args:
        spec: What stands below the parameter's name in the sweep file.

    Raises:
        SpecError: If W&B would refuse it, or if its values would not be finite.
    """
    if not isinstance(spec, Mapping):
        raise SpecError(f"is {spec!r}; expected value:, values: or min: and max:")
    name = _distribution(spec)
    keys = DISTRIBUTIONS[name]
    for key in spec:
        if key not in keys and key != "distribution":
            raise SpecError(f".{key} is no key of {name}, which has {', '.join(keys)}", key)
    given: dict[str, Any] = {**keys, **spec}
    missing = [key for key in keys if key not in spec and keys[key] is REQUIRED]
    if missing:
        raise SpecError(f"has no {missing[0]}; {name} needs {', '.join(keys)}")
    if "value" in keys:
        return Listed((given["value"],))
    if "values" in keys:
        listed = _listed(given["values"])
        return _weighted(listed, given["probabilities"]) if "probabilities" in keys else listed
    for key in keys:
        _check_number(key, given[key])
    return _range(name, given)


def _distribution(spec: Mapping[str, Any]) -> str:
    """The distribution that is named, or that the keys mean."""
    if "distribution" in spec:
        name = spec["distribution"]
        if name in DEPRECATED:
            raise SpecError(f"uses {name}, where min and max are exponents; expected {name}_values", "distribution")
        if not isinstance(name, str) or name not in DISTRIBUTIONS:
            raise SpecError(f".distribution is {name!r}; expected one of {', '.join(DISTRIBUTIONS)}", "distribution")
        return name
    if "value" in spec:
        return "constant"
    if "values" in spec:
        return "categorical_w_probabilities" if "probabilities" in spec else "categorical"
    bounds = [spec[key] for key in ("min", "max") if key in spec]
    if len(bounds) == 1:
        raise SpecError("has only one of min and max; expected both")
    if not bounds:
        raise SpecError(
            f"is {dict(spec)!r}; expected value:, values: [...], or min: and max: with a distribution such as uniform, "
            "log_uniform_values or int_uniform"
        )
    return "int_uniform" if all(type(bound) is int for bound in bounds) else "uniform"


def _listed(values: Any) -> Listed:
    if not isinstance(values, list) or not values:
        raise SpecError(f".values is {values!r}; expected a list of at least one value", "values")
    return Listed(tuple(values))


def _weighted(listed: Listed, weights: Any) -> Listed:
    fits = isinstance(weights, list) and len(weights) == len(listed.values) and all(map(is_number, weights))
    if not fits or min(weights) < 0 or not math.isclose(sum(weights), 1, abs_tol=1e-6):
        raise SpecError(
            f".probabilities is {weights!r}; expected one number of at least 0 for each value, with the sum 1",
            "probabilities",
        )
    return Listed(listed.values, tuple(map(float, weights)))


def _range(name: str, given: Mapping[str, Any]) -> Dimension:
    if "min" in given:
        low, high = given["min"], given["max"]
        if low >= high:
            raise SpecError(f": min {low} is not less than max {high}", "min")
        if "log" in name and low <= 0:
            raise SpecError(f".min is {low}; expected more than 0, as {name} takes its logarithm", "min")
        if name == "int_uniform":
            for key in ("min", "max"):
                if type(given[key]) is not int or abs(given[key]) > EXACT:
                    raise SpecError(f".{key} is {given[key]}; int_uniform needs whole numbers up to 2^53", key)
            return Whole(low, high)
    step = given.get("q")
    try:
        with np.errstate(all="ignore"):
            distribution = _frozen(name, given)
            values = Steps(distribution, step, low, high) if name == "q_uniform" else Spread(distribution, step)
            sound = all(math.isfinite(value) and values.holds(value) for value in values.examples())
    except (OverflowError, ValueError):
        sound = False
    if not sound:
        raise SpecError("has values too large or too small to compute with")
    return values


def _frozen(name: str, given: Mapping[str, Any]) -> Any:
    from scipy import stats  # takes half a second, and most files hold only lists

    match name.removeprefix("q_").removeprefix("inv_"):
        case "uniform":
            return stats.uniform(given["min"], given["max"] - given["min"])
        case "log_uniform_values":  # so is its inverse
            return stats.loguniform(given["min"], given["max"])
        case "normal":
            return stats.norm(given["mu"], given["sigma"])
        case "log_normal":
            return stats.lognorm(s=given["sigma"], scale=math.exp(given["mu"]))
    return stats.beta(given["a"], given["b"])


def _check_number(key: str, value: Any) -> None:
    if not is_number(value):
        hint = "; YAML reads 1e-3 as text, write 1.0e-3" if isinstance(value, str) else ""
        raise SpecError(f".{key} is {value!r}; expected a number{hint}", key)
    if key in ABOVE_ZERO and value <= 0:
        raise SpecError(f".{key} is {value}; expected more than 0", key)
