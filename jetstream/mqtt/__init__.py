"""Sightings for an MQTT broker and for Home Assistant: events, retained states, discovery."""
