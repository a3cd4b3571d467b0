"""Says what is wrong with what kdjax wrote, and with this machine; changes nothing."""
