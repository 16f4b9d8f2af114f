"""Who may connect, and what a client may do.

`chain` asks checkers in order whether a user name and password are good, `password_file` is one; `methods` holds the
extended authentication methods of MQTT 5.0. `access` is the question whether a session may use a topic, `acl_file` and
`topic_rules` are the answer of a file. `security` has both in one hand, for the start and for a reload.
"""
