"""The JSON of the API: what comes in, strictly, and what goes out; one file a resource."""
