"""Fuzzing of everything that reads files or text of others: seeds, mutations, readers, and the process that feeds them."""
