"""git on the server's side: push and fetch, repositories, and what may be in them."""
