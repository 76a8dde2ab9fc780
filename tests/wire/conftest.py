"""Hypothesis for the tests of the wire: no deadlines, since no test may depend on how busy the machine is."""

from hypothesis import settings

settings.register_profile("wire", deadline=None)
settings.load_profile("wire")
