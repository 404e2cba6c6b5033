"""Names measured on people that no constant was chosen with: sets, splits, and looks made worse on purpose."""
