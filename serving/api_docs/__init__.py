"""The pages about the API itself: its document, and Swagger UI over it."""
