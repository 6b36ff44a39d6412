"""Serving: arrivals, an exact simulator, policies, and what they achieve."""
