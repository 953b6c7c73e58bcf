"""The slow, readable truth: one client after another, one dense copy of every table each, plain autograd.

Written from the documents (FEDRECGEL.md, DESIGN.md, FIELD.md section 4), never from the production code, which must
agree with it. Nothing here is meant to be fast.
"""
