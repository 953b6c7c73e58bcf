"""The data sets that fedrec knows: where they come from, where they stand, how they are fetched."""
