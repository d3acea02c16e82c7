"""Every call of the management API: its request and its answer, once for both clients."""
