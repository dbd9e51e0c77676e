"""For other people's tests: runs of a model on a board, to assert on.

The pytest plugin (edgesparse.testing.plugin) comes with the package.
"""

from edgesparse.testing.run import Layer, Run, deploy

__all__ = ["Layer", "Run", "deploy"]
