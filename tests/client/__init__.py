"""The reference client, against a service that really runs."""
