"""Who may connect, and what a client may do: the seams that password files, plugins and certificates fill.

`chain` asks checkers in order whether a user name and password are good; `methods` holds the extended authentication
methods of MQTT 5.0; `access` is the question whether a session may use a topic. Today the chain ends with the anonymous
rule and nothing else, there are no methods, and everything may be used.
"""
