"""Evaluation: from scores to ranks to metrics; the baselines go the models' own way."""
