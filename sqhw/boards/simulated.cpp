// A board without its line: the bytes of a pseudo-terminal (standard input and output) go into the device's
// stream i, those of its stream o go back. The device's clock runs as fast as it can while there is something to
// do, and stops after IDLE cycles without a byte until the next one comes.

#include <poll.h>
#include <unistd.h>

#include "top.h"

int main() {
    VerilatedContext context;
    Top top{&context};
    auto cycle = [&] { top.clk = 0; top.eval(); top.clk = 1; top.eval(); };
    top.rst = 1;
    cycle();
    top.rst = 0;
    top.o___05Fready = 1;
    unsigned char in[256], out;
    ssize_t count = 0, next = 0;
    for (unsigned long idle = 0;; idle++) {
        if (next == count && (idle % 256 == 0 || idle > IDLE)) {
            pollfd line{0, POLLIN, 0};
            if (poll(&line, 1, idle > IDLE ? -1 : 0) > 0) {
                count = read(0, in, sizeof in);
                next = 0;
                if (count <= 0) return 0;
            }
        }
        top.i___05Fvalid = next < count;
        if (next < count) top.i___05Fpayload = in[next];
        top.clk = 0;
        top.eval();
        bool taken = top.i___05Fvalid && top.i___05Fready, came = top.o___05Fvalid;
        out = top.o___05Fpayload;
        top.clk = 1;
        top.eval();
        if (taken) next++;
        if (came && write(1, &out, 1) != 1) return 1;
        if (taken || came) idle = 0;
    }
}
