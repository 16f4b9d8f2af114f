"""A broker that is killed again and again under load, and the books that tell whether it lost anything.

    ledger   what was promised to whom, and what has come: says what is wrong. Knows no bytes and no clock
    clients  publishers and subscribers that do what MQTT asks of a client whose broker dies: they keep what is
             not acknowledged, come back, and say it again
    cast     who publishes what, and who is to get it
    disk     disks that fail when they are told to, or that forget what was not synced when the broker dies
    run      one run: broker, clients, kills at random moments, and the reckoning

`python -m tests.system.crash --kills 60` is the long form (`make crash`), tests/system/test_crash.py the short one.
"""
