"""Who is told of events: each sink has a thread (`courier`) that empties its outbox into a recipient, one a file."""
