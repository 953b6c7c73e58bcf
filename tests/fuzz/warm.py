"""What a case's process has imported when it is forked."""
# ruff: noqa: F401

import contextlib

import matplotlib.backends.backend_agg

import fedrec.analysis.runs
import fedrec.cli.training
import fedrec.commands.data
import fedrec.commands.notebooks
import fedrec.commands.report
import fedrec.commands.sweep
import fedrec.data.audit.audit
import fedrec.data.audit.text
import fedrec.report.sections
import fedrec.report.study
import fedrec.sweep.check
import fedrec.sweep.driver
import tests.fuzz.runner
