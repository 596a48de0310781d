# amaranth: UnusedElaboratable=no
"""Serial line and frames in the Amaranth simulator."""

import random
import zlib

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sqhw.boards.framing import FrameDecoder, FrameEncoder, body_layout, received_layout
from sqhw.boards.uart import UARTReceiver, UARTTransmitter, uart_divisor
from sqhw.console import SEED
from sqhw.driver.frames import Deframer, encode_frame
from tests.hardware import drive_stream, simulate

ALL_BYTES = list(range(256))


class Line(wiring.Component):
    """A transmitter whose line ends in a receiver."""

    def __init__(self, there, here):
        self._ends = UARTTransmitter(there), UARTReceiver(here)
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.transmitter, m.submodules.receiver = transmitter, receiver = self._ends
        connect(m, flipped(self.i), transmitter.i)
        connect(m, receiver.o, flipped(self.o))
        m.d.comb += receiver.rx.eq(transmitter.tx)
        return m


@pytest.mark.parametrize(("there", "here"), [(4, 4), (5, 5), (40, 41), (41, 40)])
def test_bytes_pass_a_line(there, here):
    """At the same rate, and at rates that differ by 2.5 %."""
    sent = ALL_BYTES[:: 5 if there < 40 else 51]
    got, when = drive_stream(Line(there, here), {"i": sent}, len(sent), limit=20_000)
    assert got == sent
    assert when[1] - when[0] == 10 * there + 1


@pytest.mark.parametrize("divisor", [4, 7])
def test_receiver_latency(divisor):
    dut = UARTReceiver(divisor)
    seen = []

    async def testbench(ctx):
        for bit in [0, 1, 0, 1, 1, 0, 0, 1, 0, 1, 1]:
            ctx.set(dut.rx, bit)
            for _ in range(divisor):
                await ctx.tick()
                seen.append(ctx.get(dut.o.valid))

    simulate(dut, testbench, limit=200)
    assert seen.index(1) + 1 == dut.latency


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        ("1111011111111111", []),  # a glitch in place of a start bit
        ("11110" + "10101010" + "0000" + "1111" + "0" + "11000000" + "1111", [0b00000011]),  # no stop bit
        ("0000000000000000000001111", []),  # a break
        ("0" + "10000000" + "1" + "0" + "01000000" + "1111", [1]),  # the second finds the first not taken
    ],
)
def test_receiver_drops(bits, expected):
    divisor = 8
    dut = UARTReceiver(divisor)
    got = []

    async def testbench(ctx):
        for bit in bits:
            ctx.set(dut.rx, int(bit))
            for _ in range(2 if bits.startswith("11110111") and bit == "0" else divisor):
                await ctx.tick()
        ctx.set(dut.o.ready, 1)
        for _ in range(2 * divisor):
            *_, valid, byte = await ctx.tick().sample(dut.o.valid, dut.o.p)
            if valid:
                got.append(byte)

    simulate(dut, testbench, limit=1000)
    assert got == expected


@pytest.mark.parametrize(("frequency", "baudrate", "divisor"), [(25e6, 1_000_000, 25), (12e6, 115_200, 104)])
def test_divisor(frequency, baudrate, divisor):
    assert uart_divisor(frequency, baudrate) == divisor


@pytest.mark.parametrize("baudrate", [5_000_000, 3_500_000])
def test_divisor_refuses(baudrate):
    with pytest.raises(ValueError) as caught:
        uart_divisor(12e6, baudrate)
    assert str(caught.value) == f"Baud rate must be 1.2e+07 Hz over a whole number from 4, not {baudrate}"


def bodies():
    rng = random.Random(SEED)
    special = [0x7E, 0x7D, 0x5E, 0x5D, 0x20]
    return [
        bytes([1]),
        bytes(ALL_BYTES),
        bytes([0x7E] * 5),
        bytes([0x7D, 0x7E]),
        *(bytes(rng.choices([*special, *ALL_BYTES], k=rng.randint(1, 40))) for _ in range(6)),
        *(n.to_bytes(3, "big") for n in range(20)),  # checks with flags and escapes among them
    ]


@pytest.mark.parametrize("stalls", ["none", "both"])
def test_encoder_agrees_with_the_host(stalls):
    sent = bodies()
    expected = b"".join(encode_frame(body) for body in sent)
    layout = body_layout()
    payloads = [
        layout.const({"data": byte, "last": index == len(body) - 1}).as_value().value
        for body in sent
        for index, byte in enumerate(body)
    ]
    got, _ = drive_stream(FrameEncoder(), {"i": payloads}, len(expected), stalls=stalls, seed=SEED)
    assert bytes(got) == expected
    assert Deframer().feed(bytes(got)) == sent


def decode(received, count, stalls="none"):
    """Frames that the decoder delivers, None for a damaged one."""
    layout = received_layout()
    payloads, _ = drive_stream(FrameDecoder(), {"i": list(received)}, count, stalls=stalls, seed=SEED)
    frames, frame = [], b""
    for item in map(layout.from_bits, payloads):
        if item.end:
            frames.append(frame if item.good else None)
            frame = b""
        else:
            frame += bytes([item.data])
    assert not frame
    return frames


def checked(body):
    return body + zlib.crc32(body).to_bytes(4, "little")


@pytest.mark.parametrize("stalls", ["none", "both"])
def test_decoder_agrees_with_the_host(stalls):
    sent = [checked(body) for body in bodies()]
    received = b"".join(encode_frame(body) for body in bodies())
    assert decode(received, sum(len(body) + 1 for body in sent), stalls) == sent


def test_decoder_rejects_every_damaged_frame():
    """Each byte of a frame lost, changed, or doubled: the frame is dropped, the next one is good."""
    body, after = bytes([3, 0x7E, 0x7D]), bytes([9])
    frame = encode_frame(body)
    rejected = 0
    for position in range(1, len(frame) - 1):
        byte = frame[position]
        for damage in (b"", bytes([byte ^ 0x10]), bytes([byte ^ 0x83]), bytes([byte, byte])):
            if damage == bytes([0x7D, 0x7D]):
                continue  # the device takes two escapes for one, which is what was sent
            damaged = frame[:position] + damage + frame[position + 1 :] + encode_frame(after)
            expected = Deframer().feed(damaged)
            count = _items(damaged)
            got = [frame for frame in decode(damaged, count) if frame is not None]
            assert got == [checked(frame) for frame in expected] == [checked(after)]
            rejected += 1
    assert rejected > 25


def _items(received):
    """What the decoder makes of bytes: those without escapes, and a flag after any."""
    items, begun = 0, False
    for byte in received:
        items += byte not in (0x7D, 0x7E) or (byte == 0x7E and begun)
        begun = byte != 0x7E
    return items


def test_deframer_counts_what_it_drops():
    deframer = Deframer()
    good, bad = encode_frame(b"good"), bytearray(encode_frame(b"bad"))
    bad[2] ^= 1
    assert deframer.feed(b"\x7e\x7e" + bytes(bad) + good[:3]) == []
    assert deframer.feed(good[3:]) == [b"good"]
    assert deframer.dropped == 1
