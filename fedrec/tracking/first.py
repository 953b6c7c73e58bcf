"""What a run needs of W&B, to be imported before PyTorch and Lightning.

The second import is one that ``wandb.init`` makes anyway. Both define some hundred data classes, and for each the
docstrings are looked up by going through all modules that have been imported: after PyTorch and Lightning that takes a
second, before them a tenth of one.
"""

import wandb
import wandb.sdk.launch  # noqa: F401
