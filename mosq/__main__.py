"""`python -m mosq` is the broker."""

from mosq.cli.broker import entry

entry()
