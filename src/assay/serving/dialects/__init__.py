"""The requests and replies of other servers, a file each."""
