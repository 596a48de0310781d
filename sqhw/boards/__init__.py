"""Engines on FPGA boards, behind a serial port."""
