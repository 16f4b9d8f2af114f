"""mosq: an MQTT broker that takes the place of Eclipse Mosquitto. Python decides, C carries."""

__version__ = "0.1.0"
