"""The API held against its own document by schemathesis, which lives in an environment of its own."""
