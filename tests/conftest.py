"""For every test."""

import signal

# A shell starts what runs in its background deaf to Ctrl-C, and children inherit that: the tests
# that press it would find nobody listening.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
