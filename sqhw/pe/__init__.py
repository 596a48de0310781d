"""The SQ processing element: row side, column side, multiply-accumulate unit, streams and AXI around them."""
