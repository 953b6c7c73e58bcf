"""Methods of other kinds than the shipped ones: each is files of its own and one YAML, nothing in the package."""
