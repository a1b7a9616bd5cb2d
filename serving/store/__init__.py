"""Where events and states live: async protocols and their implementations."""
