"""Watching a device that runs: the line to it, who it is, the log in segments, and what is shown."""
