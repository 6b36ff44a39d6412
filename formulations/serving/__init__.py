"""Mathematical models of serving samples that are all known, and bounds on them."""
