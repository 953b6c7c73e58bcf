"""What a run leaves behind: its folder, metrics per round, checkpoints, results, and the same in W&B."""
