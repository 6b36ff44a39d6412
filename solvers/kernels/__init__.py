"""Compiled loops on arrays, each with its plain-Python twin: the same function, not compiled."""
