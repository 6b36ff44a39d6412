"""Device placement: largest load, and latency of one sample in calls."""
