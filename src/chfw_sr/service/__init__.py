"""The sentence: octets to acknowledged deliveries, for a batch of messages; the relay; the clock; replay.

Ports (`ports.py`) say what is needed from a store, a bus and a clock.
"""
