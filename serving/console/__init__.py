"""The console: pages for the people who review and run the community, over the same services as the API."""
