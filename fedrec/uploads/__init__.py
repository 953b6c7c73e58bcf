"""Steps on the way of uploads from clients to server: privacy, compression, secure sums, attacks."""

from importlib import import_module
from pkgutil import iter_modules

from fedrec.uploads.clip import Clip
from fedrec.uploads.error_feedback import ErrorFeedback
from fedrec.uploads.local_noise import LocalNoise, UnclippedNoise
from fedrec.uploads.path import UploadPath
from fedrec.uploads.promotion import Promotion
from fedrec.uploads.quantise import Quantise
from fedrec.uploads.secure_sum import SecureSum
from fedrec.uploads.sign_flip import SignFlip
from fedrec.uploads.step import Aggregates, Between, Exchange, UploadStep
from fedrec.uploads.top_k import TopK
from fedrec.uploads.user_level_privacy import UserLevelPrivacy

__all__ = [
    "Aggregates",
    "Between",
    "Clip",
    "ErrorFeedback",
    "Exchange",
    "LocalNoise",
    "Promotion",
    "Quantise",
    "SecureSum",
    "SignFlip",
    "TopK",
    "UnclippedNoise",
    "UploadPath",
    "UploadStep",
    "UserLevelPrivacy",
]

# A configuration may name any step; where it comes from a run folder nothing is imported because it says so
# (fedrec/runs/vetting.py): so all steps are known from the start.
for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
