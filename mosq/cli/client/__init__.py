"""What mosquitto_pub, mosquitto_sub and mosquitto_rr have in common.

Their command line, from words to Settings: `options` has the table of all options and reads words by it; `options_file`
finds and splits files of them; `property_option`, `url` and `numbers` read the values that are more than text; `checks`
looks at the whole afterwards; `help` has the words of --help. `options.read` returns Settings, or raises an `Ending`
that says what to print and which exit code to leave with.

Their work: `payload` reads what to send; `start` and `dial` turn Settings into what the client engine takes; `program`
runs the engine to an exit code; `streams` are stdin, stdout and stderr.
"""
