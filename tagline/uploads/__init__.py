"""Uploads: photos that phones and programs send, whole or in parts."""
