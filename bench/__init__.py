"""How fast and how small mosq is, beside Mosquitto on the same machine in the same run: `make bench`."""
