"""Hand-written SQL: queries by feature, and the migrations that make the schema."""
