"""HTTP with hosts that we do not control: where it may lead, how long to wait, what may come back.

Registries and hubs differ in what they say; how to talk to them safely is here, once.
"""
