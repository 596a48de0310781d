"""The one-step datapath: INT8 outliers with an index mask, narrow bank scales; a beat is always one step."""
