/* Reset: a stack at the end of the SRAM, zeros in .bss, main, then rest. */
    .section .start
    .globl _start
_start:
    la sp, stack_end
    la t0, bss_begin
    la t1, bss_end
1:  bgeu t0, t1, 2f
    sw zero, 0(t0)
    addi t0, t0, 4
    j 1b
2:  call main
    li t0, CONSOLE_AT
    li t1, 4 /* end of transmission */
    sw t1, 0(t0)
3:  j 3b
