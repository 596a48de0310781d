"""An engine that fetches its operands from memory and writes its results there: AXI4 masters around it."""
