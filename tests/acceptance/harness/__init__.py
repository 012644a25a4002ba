"""What starts the real server and speaks to it: nothing here imports rtserver."""
