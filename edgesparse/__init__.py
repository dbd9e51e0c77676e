"""edgesparse: sparse int8 networks on Cortex-M, with telemetry of every zero."""

__all__ = ["__version__"]

__version__ = "0.1.0"
