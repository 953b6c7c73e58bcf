"""Reading interaction files: any delimited text or Parquet, into dense ids."""
