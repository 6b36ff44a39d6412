"""Fuzzing of everything that reads files or text of others: seeds, mutations, readers, the process that feeds them."""
