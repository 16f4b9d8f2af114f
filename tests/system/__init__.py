"""The broker among real things: Debian's clients, paho, signals, files, $SYS."""
