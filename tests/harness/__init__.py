"""What the tests of a running broker share: the broker process, a raw client, and packet encoders.

A test reads as: given bytes and a configuration, when, then bytes and log lines.

    def test_qos1_is_acknowledged(broker, name):
        client = broker.connected(v5, name)
        client.send(v5.publish(name, qos=1, mid=7))
        client.expect(v5.puback(7, 0x10))

Environment:
  MOSQ_TEST_BROKER      "mosq" (default) or "original": which broker the `broker` and `brokers` fixtures start
  MOSQ_TEST_COMMAND     the command that starts mosq, before its arguments (default: this interpreter with `-m mosq`);
                        a sanitizer run puts its environment here: `env LD_PRELOAD=... .venv/bin/python -m mosq`
  MOSQ_TEST_CONFIG      configuration lines for every broker; `log_type all` sends the suite down the debugging paths
  MOSQ_TEST_PATIENCE    factor on every deadline (default 1); a slow build wants 5
  MOSQ_TEST_MEMORY      "0" skips the checks of resident memory, which mean nothing under a sanitizer
"""
