"""Topics at an MQTT broker: the newest state, retained, for Home Assistant, evcc and others; and alerts."""

from poller.sinks.mqtt.sink import MqttSink

__all__ = ["MqttSink"]
