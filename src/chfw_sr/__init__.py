"""Service Request processor for Communications Hub firmware campaigns (SECMP0024, Option 1)."""

__version__ = "0.1.0"
