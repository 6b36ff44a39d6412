"""Suites, the store of their rows, and the demo; run from the root of a checkout, not packaged."""
