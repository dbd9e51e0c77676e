"""Watching a device that runs: the line to it, who it is, its log in segments, what is shown."""
